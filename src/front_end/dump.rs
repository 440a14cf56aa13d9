//! `GET /dump/`: what is kept, least recently used first.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::front_end::cache::leased_cache::Memory;
use crate::front_end::query::{Lookup, Search};
use crate::model::book::{BookId, Found, Offer};

/// The answer, in the documented form.
#[derive(Serialize)]
pub struct Dump {
    lookup: Vec<LookedUp>,
    search: Vec<Searched>,
}

#[derive(Serialize)]
struct LookedUp {
    id: BookId,
    price: f64,
    quantity: u32,
    title: Arc<str>,
}

#[derive(Serialize)]
struct Searched {
    /// The text.
    id: String,
    topics: Arc<BTreeSet<Arc<str>>>,
    search_result: Vec<Found>,
}

impl Dump {
    pub fn of(memory: &Memory) -> Dump {
        let kept = "only what could be read was kept";
        let lookups = memory.entries::<Lookup>().into_iter();
        let searches = memory.entries::<Search>().into_iter();
        Dump {
            lookup: lookups
                .map(|(question, finding)| {
                    let offer = serde_json::from_slice(&finding.body).expect(kept);
                    looked_up(question.0, offer)
                })
                .collect(),
            search: searches
                .map(|(question, finding)| Searched {
                    id: question.text,
                    search_result: serde_json::from_slice(&finding.body).expect(kept),
                    topics: finding.topics,
                })
                .collect(),
        }
    }
}

fn looked_up(id: BookId, offer: Offer) -> LookedUp {
    let Offer {
        price,
        quantity,
        title,
    } = offer;
    LookedUp {
        id,
        price,
        quantity,
        title,
    }
}
