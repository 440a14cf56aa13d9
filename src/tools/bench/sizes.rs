//! How much is measured.

use std::time::Duration;

/// The numbers of a run.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Requests of one customer after another.
    pub requests: usize,
    /// Of each kind in an outage.
    pub outage_requests: usize,
    /// How long a stopped server is given to be found out before the requests "once it is known".
    pub finding_out: Duration,
    /// Connections and customers of the crowds.
    pub readers: &'static [usize],
    pub buyers: &'static [usize],
    /// Customers of the flash sale.
    pub flash: &'static [usize],
    /// How long a crowd of readers lasts, each time.
    pub reading: Duration,
    /// How often ours and the bare server take turns.
    pub rounds: u64,
    pub buying: Duration,
    /// How long there are buyers beside those who look up, each time.
    pub beside: Duration,
    /// Books in the shop that is bought all over.
    pub books: usize,
    /// By the clock, beside buyers: look-ups a second.
    pub clock_rate: f64,
    /// The limit for a call from server to server, if not the shop's own.
    pub call_max: Option<Duration>,
    /// How long the disk replaces files.
    pub disk: Duration,
}

impl Sizes {
    pub const FULL: Sizes = Sizes {
        requests: 200,
        outage_requests: 50,
        finding_out: Duration::from_secs(3),
        readers: &[1, 16, 64, 256],
        buyers: &[1, 16, 64],
        flash: &[64, 256],
        reading: Duration::from_millis(500),
        rounds: 8,
        buying: Duration::from_millis(2500),
        beside: Duration::from_millis(900),
        books: 1000,
        clock_rate: 500.0,
        call_max: None,
        disk: Duration::from_millis(1500),
    };

    /// Shows that everything works, and nothing about how fast.
    pub const QUICK: Sizes = Sizes {
        requests: 10,
        outage_requests: 3,
        finding_out: Duration::from_millis(100),
        readers: &[1, 4],
        buyers: &[1, 4],
        flash: &[4],
        reading: Duration::from_millis(30),
        rounds: 1,
        buying: Duration::from_millis(60),
        beside: Duration::from_millis(60),
        books: 20,
        clock_rate: 100.0,
        call_max: Some(Duration::from_millis(400)),
        disk: Duration::from_millis(30),
    };
}
