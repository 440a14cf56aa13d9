//! What happened in the shop, for its log and for the cluster page.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::SystemTime;

use serde::Serialize;

use crate::runtime::log::rfc3339;
use crate::runtime::sync::lock;
use crate::supervisor::server_log::say;

/// Older events are forgotten.
const EVENTS_MAX: usize = 1000;

/// The last events, numbered from 1.
#[derive(Debug, Default)]
pub(crate) struct Events(Mutex<(u64, VecDeque<Event>)>);

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Event {
    pub(crate) number: u64,
    time: String,
    /// In words.
    text: String,
}

impl Events {
    /// Shows an event in the shop's log, and keeps it.
    pub(crate) fn say(&self, text: &str) {
        say("shop", text);
        self.keep(text);
    }

    /// Keeps an event that the log need not show.
    pub(crate) fn keep(&self, text: &str) {
        let (number, events) = &mut *lock(&self.0);
        *number += 1;
        if events.len() == EVENTS_MAX {
            events.pop_front();
        }
        events.push_back(Event {
            number: *number,
            time: rfc3339(SystemTime::now()),
            text: text.to_string(),
        });
    }

    /// Those with higher numbers, oldest first.
    pub(crate) fn since(&self, number: u64) -> Vec<Event> {
        let events = &lock(&self.0).1;
        let newer = events.iter().filter(|event| number < event.number);
        newer.cloned().collect()
    }

    /// The number of the last one.
    pub(crate) fn last(&self) -> u64 {
        lock(&self.0).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_numbered_and_the_oldest_are_forgotten() {
        let events = Events::default();
        for n in 0..EVENTS_MAX + 5 {
            events.keep(&n.to_string());
        }
        let kept = events.since(0);
        assert_eq!((kept.len(), kept[0].number), (EVENTS_MAX, 6));
        let last = events.since(events.last() - 1);
        assert_eq!((last.len(), last[0].text.as_str()), (1, "1004"));
    }
}
