//! The cache's dictionary and its list: an entry is evicted when it is the least recently used.
//!
//! These two hold everything; there is no index from a key to its place in the list. A hit looks
//! for its key from the recent end, so it costs the distance since the key's last use: little for a
//! popular key, and for any key while the list is short. An eviction shifts the whole list by one.
//! Therefore `LOOKUP_CACHE_SIZE` and `SEARCH_CACHE_SIZE` have a maximum.

use std::collections::HashMap;
use std::hash::Hash;

/// The most recently used entries, up to a number of them.
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    entries_max: usize,
    dictionary: HashMap<K, V>,
    /// The keys of the dictionary, least recently used first.
    list: Vec<K>,
}

impl<K: Clone + Eq + Hash, V> Lru<K, V> {
    /// Empty. With `entries_max` 0 it stays so.
    pub(super) fn new(entries_max: usize) -> Lru<K, V> {
        Lru {
            entries_max,
            dictionary: HashMap::new(),
            list: Vec::new(),
        }
    }

    /// Puts an entry in, as the most recently used. If there is no room, the least recently used
    /// entry is evicted.
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.remove(&key);
        if self.entries_max == 0 {
            return;
        }
        if self.dictionary.len() == self.entries_max {
            let evicted = self.list.remove(0);
            self.dictionary.remove(&evicted);
        }
        self.list.push(key.clone());
        self.dictionary.insert(key, value);
        assert_eq!(self.list.len(), self.dictionary.len());
    }

    /// The entry of that key, which thereby becomes the most recently used.
    pub(super) fn get(&mut self, key: &K) -> Option<&V> {
        let value = self.dictionary.get(key)?;
        let place = place(&self.list, key);
        let key = self.list.remove(place);
        self.list.push(key);
        Some(value)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let value = self.dictionary.remove(key)?;
        self.list.remove(place(&self.list, key));
        Some(value)
    }

    pub(super) fn clear(&mut self) {
        self.dictionary.clear();
        self.list.clear();
    }

    #[cfg(test)]
    fn contains(&self, key: &K) -> bool {
        self.dictionary.contains_key(key)
    }

    /// The keys, least recently used first.
    pub(super) fn keys(&self) -> impl ExactSizeIterator<Item = &K> {
        self.list.iter()
    }

    /// Keys and entries, least recently used first. This counts as no use.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&K, &V)> {
        self.keys().map(|key| (key, &self.dictionary[key]))
    }
}

/// Where the list has this key, looked for from the recent end.
fn place<K: Eq>(list: &[K], key: &K) -> usize {
    let place = list.iter().rposition(|listed| listed == key);
    place.expect("the list has every key of the dictionary")
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
