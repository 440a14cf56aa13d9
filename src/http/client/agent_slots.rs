//! Which kept connections a call may use.
//!
//! With every call ureq looks through all connections that it keeps, at some 50 ns each. So a
//! client has several agents, each with its own few connections. A call under way has a slot, the
//! lowest free one, and every [`SLOTS_PER_AGENT`] slots share an agent: with little to do all calls
//! use the connections of the first.

use std::sync::Mutex;

use crate::runtime::sync;

/// Calls that use the same kept connections at a time.
pub(super) const SLOTS_PER_AGENT: usize = 16;

/// Agents of a client. Calls beyond all slots use the last one, too.
pub(super) const AGENTS: usize = 16;

const WORD_BITS: usize = u64::BITS as usize;

/// The slots of one client.
#[derive(Debug, Default)]
pub(super) struct AgentSlots {
    /// A bit for each that is in use. Held for a look only.
    used: Mutex<[u64; SLOTS_PER_AGENT * AGENTS / WORD_BITS]>,
}

/// One slot, until this is dropped.
pub(super) struct Slot<'a> {
    slots: &'a AgentSlots,
    /// `None`: all were in use.
    number: Option<usize>,
}

impl AgentSlots {
    pub(super) fn acquire(&self) -> Slot<'_> {
        let mut used = sync::lock(&self.used);
        let word = used.iter().position(|word| *word != u64::MAX);
        let number = word.map(|word| {
            let bit = used[word].trailing_ones() as usize;
            used[word] |= 1 << bit;
            word * WORD_BITS + bit
        });
        Slot {
            slots: self,
            number,
        }
    }
}

impl Slot<'_> {
    /// Below [`AGENTS`].
    pub(super) fn agent(&self) -> usize {
        self.number
            .map_or(AGENTS - 1, |number| number / SLOTS_PER_AGENT)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            sync::lock(&self.slots.used)[number / WORD_BITS] &= !(1 << (number % WORD_BITS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_slot_is_acquired() {
        let slots = AgentSlots::default();
        let mut all: Vec<Slot> = (0..300).map(|_| slots.acquire()).collect();
        let agents = |all: &[Slot]| all.iter().map(Slot::agent).collect::<Vec<_>>();
        let expected = (0..300).map(|n| (n / SLOTS_PER_AGENT).min(AGENTS - 1));
        assert_eq!(agents(&all), expected.collect::<Vec<_>>());
        all.swap_remove(100);
        assert_eq!(slots.acquire().agent(), 100 / SLOTS_PER_AGENT);
        all.clear();
        assert_eq!(slots.acquire().agent(), 0);
    }
}
