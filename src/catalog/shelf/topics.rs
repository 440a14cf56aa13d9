//! Which books have which topic: what a search looks through.
//!
//! A search compares its text with each distinct topic once, not with each book. So it takes time
//! in proportion to the number of distinct topics and to the answer; a page of a long answer costs
//! that page. Kept beside the books it takes some 17 bytes a book, and some 300 a topic.
//!
//! **Case** is ignored letter by letter, by the lower-case forms of Unicode. What is more than a
//! letter's case stays different: `ß` is not found by `ss`, and `İ` is an `i` and a dot, found by
//! `i` but not by `is` in `İstanbul`. The two small sigmas are one letter, or a Greek word would
//! not be found by its own beginning.

use std::cmp::Reverse;
use std::collections::binary_heap::{BinaryHeap, PeekMut};
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::model::book::BookId;

/// The books of each topic.
#[derive(Default)]
pub struct Topics {
    by_name: HashMap<Arc<str>, Topic>,
}

struct Topic {
    /// The name as searches compare it.
    folded: Box<str>,
    /// Never empty.
    ids: BTreeSet<BookId>,
}

impl Topics {
    /// A book is there from now on, with that topic. It must not be there with another: see
    /// [`Topics::rename`].
    pub fn insert(&mut self, id: BookId, topic: &Arc<str>) {
        let new = || Topic {
            folded: fold(topic).into(),
            ids: BTreeSet::new(),
        };
        let entry = self.by_name.entry(topic.clone());
        entry.or_insert_with(new).ids.insert(id);
    }

    /// A book that had that topic has it no longer.
    pub fn remove(&mut self, id: BookId, topic: &str) {
        let Some(found) = self.by_name.get_mut(topic) else {
            return;
        };
        found.ids.remove(&id);
        if found.ids.is_empty() {
            self.by_name.remove(topic);
        }
    }

    /// A book that had the topic `from` has the topic `to`.
    pub fn rename(&mut self, id: BookId, from: &str, to: &Arc<str>) {
        self.remove(id, from);
        self.insert(id, to);
    }

    /// The same topic as it is kept here already, if it is: equal topics of many books need be in
    /// memory only once.
    pub fn known(&self, topic: &str) -> Option<&Arc<str>> {
        self.by_name.get_key_value(topic).map(|(name, _)| name)
    }

    /// The first `limit` books after `after` (of all, when `None`) whose topic contains the text,
    /// ignoring case; by id.
    pub fn search(&self, text: &str, after: Option<BookId>, limit: usize) -> Vec<BookId> {
        let folded = fold(text);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let topics = self.by_name.values();
        let found = topics.filter(|topic| topic.folded.contains(&folded));
        let books = found.map(|topic| topic.ids.range((from, Bound::Unbounded)).copied());
        merge(books, limit)
    }
}

/// A text in the form in which two are compared. If `str::to_lowercase` makes two texts equal, so
/// does this: an answer that is kept by the one may be found by the other.
fn fold(text: &str) -> String {
    let letters = text.chars().flat_map(char::to_lowercase);
    letters.map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

/// The first `limit` of several ascending lists, ascending. Takes no more out of them than that,
/// and one of each.
fn merge(lists: impl Iterator<Item = impl Iterator<Item = BookId>>, limit: usize) -> Vec<BookId> {
    let mut lists: Vec<_> = lists.collect();
    if let [only] = lists.as_mut_slice() {
        return only.take(limit).collect();
    }
    let heads = lists.iter_mut().enumerate();
    let mut heads: BinaryHeap<_> = heads
        .filter_map(|(list, ids)| ids.next().map(|id| Reverse((id, list))))
        .collect();
    let mut merged = Vec::new();
    while merged.len() < limit
        && let Some(mut head) = heads.peek_mut()
    {
        let Reverse((id, list)) = *head;
        merged.push(id);
        match lists[list].next() {
            Some(next) => *head = Reverse((next, list)),
            None => drop(PeekMut::pop(head)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(books: &[(u64, &str)]) -> Topics {
        let mut topics = Topics::default();
        for (id, topic) in books {
            topics.insert(BookId(*id), &Arc::from(*topic));
        }
        topics
    }

    fn shop() -> Topics {
        topics(&[
            (7, "Developer Life"),
            (2, "Distributed Systems"),
            (3, "Graduate School"),
            (1, "Distributed Systems"),
            (5, "100%_Wool"),
        ])
    }

    #[track_caller]
    fn check(topics: &Topics, text: &str, expected: &[u64]) {
        let found = topics.search(text, None, usize::MAX);
        let found: Vec<u64> = found.iter().map(|id| id.0).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn a_search_finds_part_of_a_topic_by_id_and_ignores_case() {
        check(&shop(), "t", &[1, 2, 3]);
        check(&shop(), "DISTRIBUTED", &[1, 2]);
        check(&shop(), "l", &[3, 5, 7]);
        check(&shop(), "", &[1, 2, 3, 5, 7]);
        check(&shop(), "%_", &[5]);
        check(&shop(), ".", &[]);
    }

    #[test]
    fn letters_are_compared_in_lower_case_and_not_otherwise() {
        let topics = topics(&[(1, "Große Straßen"), (2, "İstanbul"), (3, "Ο ΟΔΥΣΣΕΑΣ")]);
        check(&topics, "GROßE", &[1]);
        check(&topics, "strassen", &[]);
        check(&topics, "İ", &[2]);
        check(&topics, "istanbul", &[]);
        check(&topics, "STANBUL", &[2]);
        check(&topics, "οδυσσέας", &[]);
        check(&topics, "οδυσσεας", &[3]);
        check(&topics, "ΟΔΥΣ", &[3]);
    }

    #[test]
    fn pages_together_are_the_whole_answer() {
        let books: Vec<(u64, String)> = (0..100).map(|id| (id, format!("T{}", id % 7))).collect();
        let books: Vec<(u64, &str)> = books.iter().map(|(id, t)| (*id, t.as_str())).collect();
        let topics = topics(&books);
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = topics.search("t", after, 9);
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 9);
            after = Some(*last);
            all.extend(page);
        }
        assert_eq!(all, topics.search("T", None, usize::MAX));
        assert_eq!(all.len(), 100);
    }

    #[test]
    fn a_page_of_one_topic_begins_after_the_last_one() {
        let found = shop().search("distributed", Some(BookId(1)), 1);
        assert_eq!(found, [BookId(2)]);
        assert_eq!(shop().search("t", None, 0), []);
        assert_eq!(shop().search("t", Some(BookId(u64::MAX)), 5), []);
    }

    #[test]
    fn a_book_is_found_by_its_newest_topic_only() {
        let mut topics = shop();
        topics.rename(BookId(7), "Developer Life", &"Gardening".into());
        check(&topics, "life", &[]);
        check(&topics, "garden", &[7]);
        topics.remove(BookId(7), "Gardening");
        check(&topics, "garden", &[]);
        assert_eq!(topics.known("Gardening"), None);
    }

    #[test]
    fn equal_topics_are_kept_once() {
        let topics = shop();
        let kept = topics.known("Distributed Systems").unwrap();
        assert_eq!(Arc::strong_count(kept), 1);
    }
}
