//! Searches at a catalog, timed.

use std::time::{Duration, Instant};

use super::figures::Median;
use super::goods::{ONE_TOPIC, TEN_TOPICS};
use crate::address::Address;
use crate::config::Limits;
use crate::http::client::Client;
use crate::http::encode;

/// How often a search is repeated.
const SEARCHES: usize = 50;

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(2),
    whole: Duration::from_secs(20),
};

/// Asks a catalog over one kept connection.
pub struct Searcher {
    client: Client,
}

impl Searcher {
    pub fn new() -> Searcher {
        Searcher {
            client: Client::new(LIMITS, None),
        }
    }

    pub fn one_topic(&self, catalog: &Address) -> Result<Median, String> {
        self.search(catalog, ONE_TOPIC)
    }

    pub fn ten_topics(&self, catalog: &Address) -> Result<Median, String> {
        self.search(catalog, TEN_TOPICS)
    }

    fn search(&self, catalog: &Address, text: &str) -> Result<Median, String> {
        let path = format!("/query/topic/{}", encode(text));
        let mut times = Vec::with_capacity(SEARCHES);
        for _ in 0..SEARCHES {
            let began = Instant::now();
            self.get(catalog, &path)?;
            times.push(began.elapsed());
        }
        Ok(Median::of_times(times))
    }

    /// The body of a 200. Fails with anything else.
    pub fn get(&self, catalog: &Address, path: &str) -> Result<Vec<u8>, String> {
        let answer = self.client.get(&format!("{catalog}{path}"), &[]);
        let answer = answer.map_err(|failure| format!("{catalog}{path}: {failure:?}"))?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(format!("{catalog}{path}: {status}")),
        }
    }
}
