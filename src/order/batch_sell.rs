//! Customers of several books who come in one request from a front-end: one read and one update for
//! all of them.
//!
//! Nothing here waits for one book only. Who is not served (too little is known of a book, somebody
//! else was faster again and again) is handed back, and comes again alone, with the same order, to
//! stand in line: see [`crate::order::sell`].

use std::sync::Arc;
use std::time::Instant;

use crate::model::book::BookId;
use crate::model::error::Result;
use crate::model::order::Order;
use crate::order::catalog_client::{Catalog, Read, ReadRequest, Write, WriteRequest};
use crate::order::queue::{Customer, Sold, TRYING_MAX};
use crate::order::sell::{Allocation, Pause, Seller, fail, look, offer};

/// How often those are tried again who were outrun.
const ROUNDS_MAX: usize = 8;

/// A customer of a crowd.
#[derive(Clone, Debug, PartialEq)]
pub struct Buyer {
    pub id: BookId,
    pub order: Order,
    /// The id of the customer's request.
    pub request: Arc<str>,
}

/// Those who want the same book, first come first.
type Party = (BookId, Vec<Arc<Customer>>);

impl<C: Catalog> Seller<C> {
    /// Sells a copy to each, as [`Seller::buy`] does, in turn with whoever buys the same books
    /// meanwhile. `None`: nothing happened, and this customer must come alone. Begins nothing more
    /// after [`TRYING_MAX`].
    pub fn batch_sell(&self, buyers: &[Buyer]) -> Vec<Option<Result<Sold>>> {
        self.sell_since(Instant::now(), buyers)
    }

    pub(super) fn sell_since(&self, now: Instant, buyers: &[Buyer]) -> Vec<Option<Result<Sold>>> {
        let customer = |buyer: &Buyer| {
            let customer = Customer::new(buyer.order.clone(), buyer.request.clone(), now);
            (buyer.id, Arc::new(customer))
        };
        let customers: Vec<_> = buyers.iter().map(customer).collect();
        let mut parties = by_book(&customers);
        let mut pause = Pause::default();
        for round in 0..ROUNDS_MAX {
            if parties.is_empty() || TRYING_MAX <= now.elapsed() {
                break;
            }
            if 0 < round {
                self.tally.conflicts.inc();
                pause.take();
            }
            parties = self.serve(parties);
        }
        let outcomes = customers.iter().map(|(_, customer)| customer.so_far());
        let outcomes: Vec<_> = outcomes.collect();
        outcomes
            .iter()
            .flatten()
            .for_each(|outcome| self.tally.sale(outcome));
        outcomes
    }

    /// One read and one update for all of them. Gives those who were outrun.
    fn serve(&self, parties: Vec<Party>) -> Vec<Party> {
        let looks: Vec<ReadRequest> = parties.iter().map(|(id, party)| look(*id, party)).collect();
        let mut deals: Vec<(Party, Allocation)> = Vec::new();
        for (party, read) in parties.into_iter().zip(self.catalog.read_together(&looks)) {
            match read {
                Some(Read::Book(seen)) => {
                    let deal = offer(&party.1, &seen);
                    deals.extend(deal.map(|deal| (party, deal)));
                }
                Some(Read::Refused(error)) => drop(fail(&party.1, &error)),
                Some(Read::Again(_)) | None => (),
            }
        }
        if deals.is_empty() {
            return Vec::new();
        }
        let takes: Vec<WriteRequest> = deals.iter().map(|((id, _), deal)| deal.take(*id)).collect();
        self.tally.updates.add(takes.len() as u64);
        let writes = self.catalog.write_together(&takes);
        let mut outrun = Vec::new();
        for (((id, mut party), deal), write) in deals.into_iter().zip(writes) {
            let again = matches!(write, None | Some(Write::Conflict));
            if let Some(write) = write {
                deal.conclude(write);
            }
            party.retain(|customer| customer.outcome().is_none());
            if again && !party.is_empty() {
                outrun.push((id, party));
            }
        }
        outrun
    }
}

fn by_book(customers: &[(BookId, Arc<Customer>)]) -> Vec<Party> {
    let mut parties: Vec<Party> = Vec::new();
    for (id, customer) in customers {
        match parties.iter_mut().find(|(other, _)| other == id) {
            Some((_, party)) => party.push(customer.clone()),
            None => parties.push((*id, vec![customer.clone()])),
        }
    }
    parties
}
