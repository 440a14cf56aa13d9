//! Who uses which kept connections.
//!
//! With every call ureq looks through all connections that it keeps, at some 50 ns each. So a
//! client has several agents, each with its own few connections. A call under way has a seat, the
//! lowest free one, and every [`SEATS_PER_AGENT`] seats share an agent: with little to do all calls
//! use the connections of the first.

use std::sync::Mutex;

/// Calls that use the same kept connections at a time.
pub const SEATS_PER_AGENT: usize = 16;

/// Agents of a client. The last one has all calls that found no seat, too.
pub const AGENTS: usize = 16;

const WORDS: usize = SEATS_PER_AGENT * AGENTS / u64::BITS as usize;

/// The seats of one client.
#[derive(Debug, Default)]
pub struct AgentSlots {
    /// A bit for each that is taken. Held for a look only.
    taken: Mutex<[u64; WORDS]>,
}

/// One seat, until this is dropped.
pub struct Seat<'a> {
    seats: &'a AgentSlots,
    /// `None`: all were taken.
    place: Option<(usize, u32)>,
}

impl AgentSlots {
    pub fn take(&self) -> Seat<'_> {
        let mut taken = self.taken.lock().expect(NEVER_POISONED);
        let word = taken.iter().position(|word| *word != u64::MAX);
        let place = word.map(|word| (word, taken[word].trailing_ones()));
        if let Some((word, bit)) = place {
            taken[word] |= 1 << bit;
        }
        Seat { seats: self, place }
    }
}

impl Seat<'_> {
    /// Below [`AGENTS`].
    pub fn agent(&self) -> usize {
        let number = |(word, bit)| word * u64::BITS as usize + bit as usize;
        self.place
            .map_or(AGENTS - 1, |place| number(place) / SEATS_PER_AGENT)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some((word, bit)) = self.place {
            self.seats.taken.lock().expect(NEVER_POISONED)[word] &= !(1 << bit);
        }
    }
}

const NEVER_POISONED: &str = "nothing panics under this lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_seat_is_taken() {
        let seats = AgentSlots::default();
        let mut all: Vec<Seat> = (0..300).map(|_| seats.take()).collect();
        let agents = |all: &[Seat]| all.iter().map(Seat::agent).collect::<Vec<_>>();
        let expected = (0..300).map(|n| (n / SEATS_PER_AGENT).min(AGENTS - 1));
        assert_eq!(agents(&all), expected.collect::<Vec<_>>());
        all.swap_remove(100);
        assert_eq!(seats.take().agent(), 100 / SEATS_PER_AGENT);
        all.clear();
        assert_eq!(seats.take().agent(), 0);
    }
}
