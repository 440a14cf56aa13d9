//! How large a simulated shop is, how much goes wrong there, and what its clients do.

use crate::catalog::replication::rules::Rules;
use crate::model::applied_orders::AppliedOrders;
use crate::model::book::{Book, BookId, Version};

/// The book that clients buy and look up.
pub(super) const BOOK: BookId = BookId(2);

/// A book that changes only in batches with [`BOOK`].
pub(super) const OTHER_BOOK: BookId = BookId(3);

/// Numbers without a unit are probabilities.
#[derive(Clone)]
pub(super) struct Parameters {
    pub(super) catalogs: usize,
    pub(super) front_ends: usize,
    pub(super) stock: Vec<Book>,
    /// The protocol's rules that hold.
    pub(super) rules: Rules,
    /// A front-end does not cache what it fetched before an invalidation.
    pub(super) fill_guard: bool,
    /// An order server looks whether its order is applied before it looks at the quantity.
    pub(super) order_read: bool,
    /// A catalog's heartbeat loop does not wait for the outcomes of heartbeats.
    pub(super) own_timer: bool,
    /// Catalogs catch up and repair in the background.
    pub(super) repair: bool,
    /// Catalogs save and compare their ledgers. Without it the messages are those of the books, so
    /// that schedules and seeds that show a rule's absence stay as they are.
    pub(super) ledger: bool,
    /// Whether the clients must see one book. False where two sides may sell the same copy; then
    /// the catalogs must only agree in the end.
    pub(super) linearizable: bool,
    /// Nothing is random, so that a test can name every message.
    pub(super) steady: bool,
    pub(super) network: NetworkParameters,
    pub(super) faults: FaultParameters,
    pub(super) clients: ClientParameters,
}

#[derive(Clone)]
pub(super) struct NetworkParameters {
    /// The slowest message that is not late.
    pub(super) slow_ms: f64,
    pub(super) lost_request: f64,
    pub(super) lost_reply: f64,
    /// An update or confirmation that arrives up to seconds late.
    pub(super) late: f64,
    /// An update or confirmation that arrives twice.
    pub(super) duplicated: f64,
    /// A refusal that arrives up to seconds late.
    pub(super) late_refusal: f64,
}

#[derive(Clone)]
pub(super) struct FaultParameters {
    /// How many random faults a run has. Each is a crash, a stop or a starvation.
    pub(super) random: usize,
    /// Of crashes and stops, the crashes.
    pub(super) crash: f64,
    /// Of random faults of catalogs, a starvation: no heartbeat is answered for a while.
    pub(super) starvation: f64,
    pub(super) slow_disk: f64,
    /// One catalog that has caught up always stays.
    pub(super) spares_one: bool,
    /// A writer crashes or stops after a step of its write.
    pub(super) at_step: f64,
    /// A catalog that comes back, or the one that it asks, crashes or stops after a step of that.
    pub(super) at_return: f64,
    /// What a server missed while it was stopped happens in any order.
    pub(super) shuffle: f64,
    /// How often all catalogs crash one after another.
    pub(super) staggered: usize,
    /// How many cuts a run has, each between some pairs of servers.
    pub(super) cuts: usize,
    /// How often a run has a disk, or all, that refuses writes for a while.
    pub(super) full_disks: usize,
    /// A catalog that starts again finds its folder gone, or an older one, if another one serves.
    pub(super) lost_folder: f64,
    pub(super) old_folder: f64,
    /// At first all folders are new.
    pub(super) new_folders: bool,
}

#[derive(Clone)]
pub(super) struct ClientParameters {
    pub(super) count: usize,
    /// How many operations each client does.
    pub(super) operations: usize,
    /// The longest pause before an operation.
    pub(super) think_ms: f64,
    /// Operations that set the quantity.
    pub(super) set: f64,
    /// Operations that add to the quantity, on the condition that nobody was faster.
    pub(super) restock: f64,
    /// Instead they add a difference, with a key, and send it again while its outcome is unknown.
    pub(super) adds_difference: bool,
    /// 409 means that nothing happened, as 412 does.
    pub(super) trusts_refusals: bool,
    /// The most copies of one order.
    pub(super) copies_max: u32,
    /// Operations that remove the book, or add it again.
    pub(super) remove: f64,
    /// Orders that are sent twice at once.
    pub(super) duplicated: f64,
    /// Writes that travel in a batch with a write of [`OTHER_BOOK`].
    pub(super) batched: f64,
    /// Sales that are tried without reading the book first, if one was heard of.
    pub(super) unread: f64,
}

impl Parameters {
    /// A healthy shop, in which only the order of events is random.
    pub(super) fn healthy(catalogs: usize, copies: u32) -> Parameters {
        Parameters {
            catalogs,
            front_ends: 1,
            stock: vec![book(copies)],
            rules: Rules::all(),
            fill_guard: true,
            order_read: true,
            own_timer: true,
            repair: true,
            ledger: false,
            linearizable: true,
            steady: false,
            network: NetworkParameters {
                slow_ms: 60.0,
                lost_request: 0.0,
                lost_reply: 0.0,
                late: 0.0,
                duplicated: 0.0,
                late_refusal: 0.0,
            },
            faults: FaultParameters {
                random: 0,
                crash: 0.6,
                starvation: 0.0,
                slow_disk: 0.0,
                spares_one: true,
                at_step: 0.0,
                at_return: 0.0,
                shuffle: 0.0,
                staggered: 0,
                cuts: 0,
                full_disks: 0,
                lost_folder: 0.0,
                old_folder: 0.0,
                new_folders: false,
            },
            clients: ClientParameters {
                count: 4,
                operations: 6,
                think_ms: 400.0,
                set: 0.0,
                restock: 0.0,
                adds_difference: false,
                trusts_refusals: false,
                copies_max: 1,
                remove: 0.0,
                duplicated: 0.0,
                batched: 0.0,
                unread: 0.0,
            },
        }
    }

    /// The shop of a seed: 2, 3 or 5 catalogs, and every kind of fault in some.
    pub(super) fn of_seed(seed: u64) -> Parameters {
        let rng = &mut fastrand::Rng::with_seed(seed ^ 0x5e77);
        let catalogs = *rng.choice(&[2, 2, 2, 3, 3, 5]).expect("there are some");
        let copies = *rng.choice(&[2, 4, 9]).expect("there are some");
        let mut all = Parameters::healthy(catalogs, copies);
        all.stock.push(other_book());
        // The order of these draws is part of what a seed means.
        all.front_ends = rng.usize(1..=2);
        all.faults.random = rng.usize(0..10);
        all.faults.crash = rng.f64();
        all.faults.starvation = some(rng, 0.3);
        all.network.lost_request = some(rng, 0.02);
        all.network.lost_reply = some(rng, 0.02);
        all.network.late = some(rng, 0.1);
        all.network.duplicated = some(rng, 0.1);
        all.faults.slow_disk = some(rng, 0.05);
        all.faults.at_step = some(rng, 0.1);
        all.faults.shuffle = some(rng, 1.0);
        all.clients.set = some(rng, 0.2);
        all.clients.duplicated = some(rng, 0.2);
        all.clients.think_ms = *rng.choice(&[20.0, 100.0, 400.0]).expect("there are some");
        all.clients.batched = some(rng, 1.0);
        all
    }

    pub(super) fn copies(&self) -> u32 {
        self.stock[0].quantity
    }

    /// Catalogs first, then front-ends.
    pub(super) fn servers(&self) -> usize {
        self.catalogs + self.front_ends
    }

    /// As a trace names a server: `0` is a catalog, `f0` a front-end.
    pub(super) fn name(&self, node: usize) -> String {
        match node.checked_sub(self.catalogs) {
            None => format!("{node}"),
            Some(front_end) => format!("f{front_end}"),
        }
    }
}

/// 0 in half of all shops, otherwise up to `max`.
pub(super) fn some(rng: &mut fastrand::Rng, max: f64) -> f64 {
    if rng.bool() { rng.f64() * max } else { 0.0 }
}

/// [`BOOK`], as in the first stock.
pub(super) fn book(quantity: u32) -> Book {
    Book {
        id: BOOK,
        title: "RPCs for Dummies".into(),
        topic: "Distributed Systems".into(),
        quantity,
        price: 50.0,
        version: Version::FIRST,
        removed: false,
        applied_orders: AppliedOrders::default(),
        restocked_at: None,
        account: Default::default(),
    }
}

/// [`OTHER_BOOK`], as in the first stock.
pub(super) fn other_book() -> Book {
    Book {
        id: OTHER_BOOK,
        title: "Xen and the Art of Surviving Graduate School".into(),
        topic: "Graduate School".into(),
        ..book(10)
    }
}
