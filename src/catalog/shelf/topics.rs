//! Which books have which topic: the index that searches use.
//!
//! A search compares its text with each distinct topic once, not with each book. So its time is
//! proportional to the number of distinct topics and to the answer; a page of a long answer costs
//! that page. The index needs about 17 bytes a book and 300 a topic, beside the books themselves.
//!
//! Case and width are ignored, accents are not: see [`crate::model::fold`].

use std::cmp::Reverse;
use std::collections::binary_heap::{BinaryHeap, PeekMut};
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::model::book::{Book, BookId};
use crate::model::fold::{contains, fold};

/// The ids of the books of each topic.
#[derive(Default)]
pub(super) struct TopicIndex {
    by_name: HashMap<Arc<str>, Topic>,
}

struct Topic {
    /// The name in the form in which searches compare it.
    folded: Box<str>,
    /// Never empty.
    ids: BTreeSet<BookId>,
}

impl TopicIndex {
    /// Adds a book, unless it was removed from the shop. A book that is in the index already is
    /// moved by [`TopicIndex::replace`] instead.
    pub(super) fn insert(&mut self, book: &Book) {
        if !book.removed {
            self.add(book.id, &book.topic);
        }
    }

    /// A new copy takes the place of an old one.
    pub(super) fn replace(&mut self, old: &Book, new: &Book) {
        if (old.removed, &old.topic) != (new.removed, &new.topic) {
            self.remove(old.id, &old.topic);
            self.insert(new);
        }
    }

    fn add(&mut self, id: BookId, topic: &Arc<str>) {
        let new = || Topic {
            folded: fold(topic).into(),
            ids: BTreeSet::new(),
        };
        let entry = self.by_name.entry(topic.clone());
        entry.or_insert_with(new).ids.insert(id);
    }

    fn remove(&mut self, id: BookId, topic: &str) {
        let Some(found) = self.by_name.get_mut(topic) else {
            return;
        };
        found.ids.remove(&id);
        if found.ids.is_empty() {
            self.by_name.remove(topic);
        }
    }

    /// The first `limit` books after `after` of exactly this topic, by id.
    pub(super) fn of(&self, topic: &str, after: Option<BookId>, limit: usize) -> Vec<BookId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ids = self.by_name.get(topic).map(|topic| &topic.ids);
        let ids = ids
            .into_iter()
            .flat_map(|ids| ids.range((from, Bound::Unbounded)));
        ids.take(limit).copied().collect()
    }

    /// The first `limit` books after `after` (of all, when `None`) whose topic contains the text,
    /// ignoring case; by id.
    pub(super) fn search(&self, text: &str, after: Option<BookId>, limit: usize) -> Vec<BookId> {
        let folded = fold(text);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let topics = self.by_name.values();
        let found = topics.filter(|topic| contains(&topic.folded, &folded));
        let books = found.map(|topic| topic.ids.range((from, Bound::Unbounded)).copied());
        merge(books, limit)
    }
}

/// The first `limit` elements of several ascending lists, ascending. Reads at most that many, and
/// one more of each list.
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

    fn topics(books: &[(u64, &str)]) -> TopicIndex {
        let mut topics = TopicIndex::default();
        for (id, topic) in books {
            topics.add(BookId(*id), &Arc::from(*topic));
        }
        topics
    }

    fn shop() -> TopicIndex {
        topics(&[
            (7, "Developer Life"),
            (2, "Distributed Systems"),
            (3, "Graduate School"),
            (1, "Distributed Systems"),
            (5, "100%_Wool"),
        ])
    }

    #[track_caller]
    fn check(topics: &TopicIndex, text: &str, expected: &[u64]) {
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
    fn letters_are_compared_without_case_but_with_their_accents() {
        let topics = topics(&[(1, "Große Straßen"), (2, "İstanbul"), (3, "Ο ΟΔΥΣΣΕΑΣ")]);
        check(&topics, "GROßE", &[1]);
        check(&topics, "strassen", &[1]);
        check(&topics, "ſtraßen", &[1]);
        check(&topics, "İ", &[2]);
        check(&topics, "istanbul", &[]);
        check(&topics, "STANBUL", &[2]);
        check(&topics, "οδυσσέας", &[]);
        check(&topics, "οδυσσεας", &[3]);
        check(&topics, "ΟΔΥΣ", &[3]);
    }

    #[test]
    fn all_pages_form_the_whole_answer() {
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
    fn a_page_of_one_topic_begins_after_the_given_id() {
        let found = shop().search("distributed", Some(BookId(1)), 1);
        assert_eq!(found, [BookId(2)]);
        assert_eq!(shop().search("t", None, 0), []);
        assert_eq!(shop().search("t", Some(BookId(u64::MAX)), 5), []);
    }

    #[test]
    fn a_book_is_found_by_its_newest_topic_only() {
        let mut topics = shop();
        topics.remove(BookId(7), "Developer Life");
        topics.add(BookId(7), &"Gardening".into());
        check(&topics, "life", &[]);
        check(&topics, "garden", &[7]);
        assert_eq!(topics.of("Gardening", None, 9), [BookId(7)]);
        assert_eq!(topics.of("Garden", None, 9), []);
        assert_eq!(
            topics.of("Distributed Systems", Some(BookId(1)), 9),
            [BookId(2)]
        );
        topics.remove(BookId(7), "Gardening");
        check(&topics, "garden", &[]);
        assert!(!topics.by_name.contains_key("Gardening"));
    }

    #[test]
    fn the_index_keeps_equal_topics_once() {
        let topics = shop();
        let (topic, _) = topics.by_name.get_key_value("Distributed Systems").unwrap();
        assert_eq!(Arc::strong_count(topic), 1);
    }
}
