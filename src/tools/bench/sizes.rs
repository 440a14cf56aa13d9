//! How much is measured.

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Requests that are sent one after another.
    pub(super) requests: usize,
    /// The same in an outage, of each kind.
    pub(super) outage_requests: usize,
    /// How long the shop has to detect a stopped server, before the requests of "once it is known".
    pub(super) detection: Duration,
    /// Numbers of clients of the closed loops: of look-ups, of buys, and of the flash sale.
    pub(super) readers: &'static [usize],
    pub(super) buyers: &'static [usize],
    pub(super) flash_buyers: &'static [usize],
    /// How long look-ups take, each time.
    pub(super) reading: Duration,
    /// How often the baseline server and the shop take turns.
    pub(super) rounds: u64,
    pub(super) buying: Duration,
    /// How long look-ups beside buyers take, each time.
    pub(super) reading_beside_buyers: Duration,
    /// Look-ups a second beside buyers.
    pub(super) rate_beside_buyers: f64,
    /// Books of the shop in which the closed loops buy.
    pub(super) books: usize,
    /// `TIMEOUT_MS` of the servers; `None`: the default.
    pub(super) timeout: Option<Duration>,
    /// How long files are replaced.
    pub(super) replacing: Duration,
}

impl Sizes {
    pub(super) const FULL: Sizes = Sizes {
        requests: 200,
        outage_requests: 50,
        detection: Duration::from_secs(3),
        readers: &[1, 16, 64, 256],
        buyers: &[1, 16, 64],
        flash_buyers: &[64, 256],
        reading: Duration::from_millis(500),
        rounds: 8,
        buying: Duration::from_millis(2500),
        reading_beside_buyers: Duration::from_millis(900),
        rate_beside_buyers: 500.0,
        books: 1000,
        timeout: None,
        replacing: Duration::from_millis(1500),
    };

    /// Shows that everything works, and nothing about how fast.
    pub(super) const QUICK: Sizes = Sizes {
        requests: 10,
        outage_requests: 3,
        detection: Duration::from_millis(100),
        readers: &[1, 4],
        buyers: &[1, 4],
        flash_buyers: &[4],
        reading: Duration::from_millis(30),
        rounds: 1,
        buying: Duration::from_millis(60),
        reading_beside_buyers: Duration::from_millis(60),
        rate_beside_buyers: 100.0,
        books: 20,
        timeout: Some(Duration::from_millis(400)),
        replacing: Duration::from_millis(30),
    };
}
