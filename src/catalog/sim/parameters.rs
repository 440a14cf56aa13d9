//! What kind of world a seed plays in.

use crate::catalog::replication::rules::Rules;
use crate::model::applied_orders::AppliedOrders;
use crate::model::book::{Book, Version};

use crate::catalog::sim::cluster::{BOOK, OTHER};

/// The numbers of the model's `KEY=VALUE`, as probabilities where nothing else is said.
#[derive(Clone)]
pub struct Parameters {
    pub catalogs: usize,
    pub front_ends: usize,
    pub rules: Rules,
    /// The front-end keeps nothing that was fetched before it was told to forget.
    pub guard: bool,
    /// An order server looks whether its order was applied before it looks at the quantity.
    pub order_read: bool,
    pub stock: Vec<Book>,
    /// Crashes and pauses in a run.
    pub faults: usize,
    /// Of those, crashes; the rest are pauses.
    pub crashes: f64,
    /// Of all faults, a heartbeat that nobody answers for a while.
    pub starved: f64,
    /// The slowest message of an ordinary net, in ms.
    pub slow_net: f64,
    pub lost_request: f64,
    pub lost_reply: f64,
    /// Updates and confirmations that come seconds late, or twice.
    pub late: f64,
    pub double: f64,
    pub slow_disk: f64,
    /// A writer that dies, or stops, at a step of its write.
    pub step_faults: f64,
    /// What happens at a server's awakening happens in any order.
    pub shuffle: f64,
    /// Plain updates of the quantity among a customer's doings.
    pub updates: f64,
    /// The same order sent twice at once.
    pub twins: f64,
    /// Changes that travel together with one of another book.
    pub together: f64,
    /// The net is cut for a while.
    pub partition: bool,
    /// Everything fails at once.
    pub total: bool,
    /// The longest a customer thinks, in ms.
    pub think: f64,
    pub customers: usize,
    /// What each customer does.
    pub doings: usize,
    /// No chance at all: for the figures.
    pub steady: bool,
    /// Catalogs catch up in the background.
    pub tends: bool,
}

impl Parameters {
    /// A healthy shop, in which only the order of things is random.
    pub fn healthy(catalogs: usize, copies: u32) -> Parameters {
        Parameters {
            catalogs,
            front_ends: 1,
            rules: Rules::all(),
            guard: true,
            order_read: true,
            stock: vec![book(copies)],
            faults: 0,
            crashes: 0.6,
            starved: 0.0,
            slow_net: 60.0,
            lost_request: 0.0,
            lost_reply: 0.0,
            late: 0.0,
            double: 0.0,
            slow_disk: 0.0,
            step_faults: 0.0,
            shuffle: 0.0,
            updates: 0.0,
            twins: 0.0,
            together: 0.0,
            partition: false,
            total: false,
            think: 400.0,
            customers: 4,
            doings: 6,
            steady: false,
            tends: true,
        }
    }

    /// The world of a seed: 2, 3 or 5 catalogs, and every kind of trouble in some.
    pub fn of_seed(seed: u64) -> Parameters {
        let rng = &mut fastrand::Rng::with_seed(seed ^ 0x5e77);
        let catalogs = *rng.choice(&[2, 2, 2, 3, 3, 5]).expect("there are some");
        let copies = *rng.choice(&[2, 4, 9]).expect("there are some");
        let some =
            |rng: &mut fastrand::Rng, most: f64| if rng.bool() { rng.f64() * most } else { 0.0 };
        Parameters {
            front_ends: rng.usize(1..=2),
            faults: rng.usize(0..10),
            crashes: rng.f64(),
            starved: some(rng, 0.3),
            lost_request: some(rng, 0.02),
            lost_reply: some(rng, 0.02),
            late: some(rng, 0.1),
            double: some(rng, 0.1),
            slow_disk: some(rng, 0.05),
            step_faults: some(rng, 0.1),
            shuffle: some(rng, 1.0),
            updates: some(rng, 0.2),
            twins: some(rng, 0.2),
            think: *rng.choice(&[20.0, 100.0, 400.0]).expect("there are some"),
            together: some(rng, 1.0),
            stock: vec![book(copies), other_book()],
            ..Parameters::healthy(catalogs, copies)
        }
    }

    /// Whether two sides may sell the same copy, as the original chose.
    pub fn splits(&self) -> bool {
        self.partition || self.total
    }

    pub fn copies(&self) -> u32 {
        self.stock[0].quantity
    }
}

/// The simulated shop's book, as in the first stock.
pub fn book(quantity: u32) -> Book {
    Book {
        id: BOOK,
        title: "RPCs for Dummies".into(),
        topic: "Distributed Systems".into(),
        quantity,
        price: 50.0,
        version: Version::FIRST,
        committed: false,
        diverged_at: None,
        applied_orders: AppliedOrders::default(),
    }
}

/// A book that is only changed together with the other one.
fn other_book() -> Book {
    Book {
        id: OTHER,
        title: "Xen and the Art of Surviving Graduate School".into(),
        topic: "Graduate School".into(),
        ..book(10)
    }
}
