//! Searches at a catalog, timed.

use std::time::{Duration, Instant};

use crate::config::Limits;
use crate::http::client::Client;
use crate::http::encode;
use crate::model::address::Address;
use crate::tools::scale::figures::Times;

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

    /// So many searches, each timed.
    pub fn search(
        &self,
        catalog: &Address,
        text: &str,
        count: usize,
        times: &mut Times,
    ) -> Result<(), String> {
        let path = format!("/query/topic/{}", encode(text));
        for _ in 0..count {
            let began = Instant::now();
            self.get(catalog, &path)?;
            times.add(began.elapsed());
        }
        Ok(())
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
