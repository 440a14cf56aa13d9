//! How much is measured.

use std::time::Duration;

use crate::tools::full_or_quick;

#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Requests that are sent one after another.
    pub(super) requests: usize,
    /// How often each outage is made, for each kind of request.
    pub(super) outages: usize,
    /// Requests that are sent one after another once an outage is known.
    pub(super) outage_requests: usize,
    /// How long the shop has to detect an outage, before the requests of "once it is known".
    pub(super) detection: Duration,
    /// How long servers are restarted, one after another.
    pub(super) restarting: Duration,
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
    pub(super) fn new(quick: bool) -> Sizes {
        let ms = |full, short| Duration::from_millis(full_or_quick(quick, full, short));
        Sizes {
            requests: full_or_quick(quick, 200, 10),
            outages: full_or_quick(quick, 10, 1),
            outage_requests: full_or_quick(quick, 20, 3),
            detection: ms(1000, 100),
            restarting: ms(10_000, 200),
            readers: full_or_quick(quick, &[1, 16, 64, 256], &[1, 4]),
            buyers: full_or_quick(quick, &[1, 16, 64], &[1, 4]),
            flash_buyers: full_or_quick(quick, &[64, 256], &[4]),
            reading: ms(500, 30),
            rounds: full_or_quick(quick, 8, 1),
            buying: ms(2500, 60),
            reading_beside_buyers: ms(900, 60),
            rate_beside_buyers: full_or_quick(quick, 500.0, 100.0),
            books: full_or_quick(quick, 1000, 20),
            timeout: quick.then_some(Duration::from_millis(400)),
            replacing: ms(1500, 30),
        }
    }
}
