//! Buys of several customers who come at the same moment go to an order server in one request.
//!
//! They are not one buy: each has its own order, and its own answer. Whoever is not served by it
//! (too little is known of the book, somebody else was faster, the order server cannot be reached)
//! goes on alone, with the same order. Somebody who is alone to begin with, like the one before,
//! does not notice any of this.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::front_end::FrontEnd;
use crate::front_end::buy::{Said, Tried, not_reached};
use crate::model::book::{BOOK_ID_MAX, BookId};
use crate::model::order::Order;
use crate::model::validation::TOGETHER_MAX;
use crate::runtime::batcher::Batcher;
use crate::runtime::semaphore::Semaphore;

/// BuyBatcher under way at once.
const COMPANIES_MAX: usize = 64;

/// While so many are, the next one waits a moment for more to join it.
const ENOUGH: usize = 1;

/// The longest such moment, and the longest that a company then waits for those whom it expects.
/// Buys hardly take as long, unless an order server does not answer.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// Where buys find company.
pub type BuyBatcher = Batcher<Buying, Tried>;

/// A customer's buy on its way.
#[derive(Clone, Debug)]
pub struct Buying {
    pub id: BookId,
    pub order: Order,
    /// The id of the customer's request.
    pub request: Arc<str>,
}

pub fn companies() -> BuyBatcher {
    Batcher::new(
        Semaphore::with_soft_limit(COMPANIES_MAX, ENOUGH),
        TOGETHER_MAX,
        WAIT_MAX,
    )
}

/// An entry of `PUT /batch/buy`.
#[derive(Serialize)]
struct Entry<'a> {
    id: BookId,
    order: String,
    request: &'a str,
}

/// An entry of its answer.
#[derive(Deserialize)]
struct Line {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Value,
}

impl FrontEnd {
    /// What came of each of these buys at the order server whose turn it is.
    pub(super) fn buy_together(&self, company: &[Buying]) -> Vec<Tried> {
        if let [buying] = company {
            return vec![Tried::Answered(self.buy_alone(buying, false))];
        }
        let Some((_, server)) = self.orders.tries().next() else {
            return nobody(company, false);
        };
        let url = format!("{}/batch/buy", server.address);
        let headers = [("X-Request-Id", &*company[0].request)];
        match self.buys.put(&url, &headers, &entries(company)) {
            Ok(answer) => match answer.list::<Line>(company.len()) {
                Some(lines) => lines.into_iter().map(|line| self.tried(line)).collect(),
                // A 4xx: it does not know such requests, or shows another token. Asked alone it
                // will say so.
                None => nobody(company, !(400..500).contains(&answer.status)),
            },
            Err(failure) => {
                let unknown = !failure.definite();
                not_reached(server, failure);
                nobody(company, unknown)
            }
        }
    }

    /// What one line of its answer means. Whatever it could not do for this one says nothing about
    /// the order server, which did answer: it is not counted as down.
    fn tried(&self, line: Line) -> Tried {
        let said = line.said();
        match said.status {
            // It wants to be asked for this one alone.
            503 => Tried::NotReached { unknown: false },
            _ => self.weigh(said),
        }
    }
}

/// Whether an order server takes this one with others: it refuses what cannot be a book's id.
pub fn may_join(id: BookId) -> bool {
    (1..=BOOK_ID_MAX).contains(&id.0)
}

fn nobody(company: &[Buying], unknown: bool) -> Vec<Tried> {
    let tried = |_| Tried::NotReached { unknown };
    company.iter().map(tried).collect()
}

fn entries(company: &[Buying]) -> Vec<u8> {
    let entries: Vec<Entry> = company
        .iter()
        .map(|buying| Entry {
            id: buying.id,
            order: buying.order.to_string(),
            request: &buying.request,
        })
        .collect();
    serde_json::to_vec(&entries).expect("our own values are JSON")
}

impl Line {
    fn said(self) -> Said {
        let body = serde_json::to_vec(&self.body).expect("what was JSON is JSON");
        Said::new(self.status, body, |name| {
            self.headers.get(name).map(String::as_str)
        })
    }
}
