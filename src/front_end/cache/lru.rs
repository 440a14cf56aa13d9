//! The cache's dictionary and list.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// What was used most recently, up to a number of entries.
///
/// The dictionary maps a key to its entry. The list holds the keys, least recently used first; a
/// key's place in it is a number that grows with each use, so that no operation has to search it.
#[derive(Debug)]
pub struct Lru<K, V> {
    entries_max: usize,
    dictionary: HashMap<K, (u64, V)>,
    list: BTreeMap<u64, K>,
    next_place: u64,
}

impl<K: Clone + Eq + Hash, V> Lru<K, V> {
    /// Empty. With `entries_max` 0 it stays so.
    pub fn new(entries_max: usize) -> Lru<K, V> {
        Lru {
            entries_max,
            dictionary: HashMap::new(),
            list: BTreeMap::new(),
            next_place: 0,
        }
    }

    /// Puts an entry in, as the most recently used. If there is no room, the least recently used
    /// goes.
    pub fn insert(&mut self, key: K, value: V) {
        self.remove(&key);
        if self.entries_max == 0 {
            return;
        }
        if self.dictionary.len() == self.entries_max {
            let (_, oldest) = self.list.pop_first().expect("a full cache has a first key");
            self.dictionary.remove(&oldest);
        }
        let place = self.place();
        self.list.insert(place, key.clone());
        self.dictionary.insert(key, (place, value));
        assert_eq!(self.list.len(), self.dictionary.len());
    }

    /// The entry of that key, which thereby becomes the most recently used.
    pub fn get(&mut self, key: &K) -> Option<&V> {
        let last = self.place();
        let (place, value) = self.dictionary.get_mut(key)?;
        let key = self.list.remove(place).expect("the list has every key");
        self.list.insert(last, key);
        *place = last;
        Some(value)
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (place, value) = self.dictionary.remove(key)?;
        self.list.remove(&place);
        Some(value)
    }

    pub fn clear(&mut self) {
        self.dictionary.clear();
        self.list.clear();
    }

    pub fn contains(&self, key: &K) -> bool {
        self.dictionary.contains_key(key)
    }

    /// The keys, least recently used first.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.list.values()
    }

    /// Keys and entries, least recently used first; nothing is used by it.
    pub fn entries(&self) -> impl Iterator<Item = (&K, &V)> {
        self.keys().map(|key| (key, &self.dictionary[key].1))
    }

    /// The list's end.
    fn place(&mut self) -> u64 {
        self.next_place += 1;
        self.next_place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Lru<u32, char> {
        let mut lru = Lru::new(3);
        for (key, value) in [(1, 'a'), (2, 'b'), (3, 'c')] {
            lru.insert(key, value);
        }
        lru
    }

    #[track_caller]
    fn check(lru: &Lru<u32, char>, expected: &[(u32, char)]) {
        let entries: Vec<_> = lru.entries().map(|(key, value)| (*key, *value)).collect();
        assert_eq!(entries, expected);
        assert!(expected.iter().all(|(key, _)| lru.contains(key)));
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut lru = filled();
        assert_eq!(lru.get(&1), Some(&'a'));
        lru.insert(4, 'd');
        check(&lru, &[(3, 'c'), (1, 'a'), (4, 'd')]);
    }

    #[test]
    fn an_insert_over_an_entry_moves_it_to_the_end_and_costs_no_other() {
        let mut lru = filled();
        lru.insert(1, 'z');
        check(&lru, &[(2, 'b'), (3, 'c'), (1, 'z')]);
    }

    #[test]
    fn a_key_that_is_not_there_changes_nothing() {
        let mut lru = filled();
        assert_eq!(lru.get(&9), None);
        assert_eq!(lru.remove(&9), None);
        check(&lru, &[(1, 'a'), (2, 'b'), (3, 'c')]);
    }

    #[test]
    fn what_was_removed_leaves_room() {
        let mut lru = filled();
        assert_eq!(lru.remove(&2), Some('b'));
        lru.insert(4, 'd');
        check(&lru, &[(1, 'a'), (3, 'c'), (4, 'd')]);
        lru.clear();
        check(&lru, &[]);
    }

    #[test]
    fn a_cache_of_no_entries_keeps_nothing() {
        let mut lru = Lru::new(0);
        lru.insert(1, 'a');
        check(&lru, &[]);
    }
}
