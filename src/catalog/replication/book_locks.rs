//! Writes of one book queue up, and one settling of a book goes on at a time: REPLICATION.md, steps
//! and "Read".

use std::collections::VecDeque;
use std::time::Duration;

use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::{Inner, Replica};
use crate::model::book::BookId;
use crate::model::error::{Error, Result};

/// What is under way for one book.
#[derive(Debug, Default)]
pub struct Desk {
    /// The writers in order of arrival; the first one writes.
    writers: VecDeque<u64>,
    next: u64,
    settling: bool,
}

/// One writer's turn at a book. Ends when dropped.
pub struct Turn<'a, E: Environment> {
    replica: &'a Replica<E>,
    id: BookId,
    number: u64,
}

impl<E: Environment> Replica<E> {
    /// Waits for one's turn to write this book. Messages from peers never do.
    pub(super) fn turn(&self, id: BookId, until: Duration) -> Result<Turn<'_, E>> {
        let mut inner = self.lock();
        let turn = self.stand_in_line(&mut inner, id);
        while inner.desks[&id].writers.front() != Some(&turn.number) {
            if until <= self.now().monotonic {
                drop(inner);
                return Err(Error::Busy("Too many writes of this book at once".into()));
            }
            inner = self.wait(inner, WaitKey::Book(id), until);
        }
        Ok(turn)
    }

    /// The turn to write this book, if nobody is at it.
    pub(super) fn turn_at_once(&self, inner: &mut Inner, id: BookId) -> Option<Turn<'_, E>> {
        let free = inner
            .desks
            .get(&id)
            .is_none_or(|desk| desk.writers.is_empty());
        free.then(|| self.stand_in_line(inner, id))
    }

    fn stand_in_line(&self, inner: &mut Inner, id: BookId) -> Turn<'_, E> {
        let desk = inner.desks.entry(id).or_default();
        let number = desk.next;
        desk.next += 1;
        desk.writers.push_back(number);
        Turn {
            replica: self,
            id,
            number,
        }
    }

    /// Starts to settle a book; `None` while somebody does.
    pub(super) fn settling<'a>(&'a self, inner: &mut Inner, id: BookId) -> Option<Settling<'a, E>> {
        let desk = inner.desks.entry(id).or_default();
        let free = !std::mem::replace(&mut desk.settling, true);
        free.then(|| Settling { replica: self, id })
    }

    /// Changes a desk, takes it away when nothing is left on it, and wakes who waits there.
    fn at_desk(&self, id: BookId, change: impl FnOnce(&mut Desk)) {
        let mut inner = self.lock();
        let desk = inner
            .desks
            .get_mut(&id)
            .expect("whoever is at a desk keeps it");
        change(desk);
        if desk.writers.is_empty() && !desk.settling {
            inner.desks.remove(&id);
        }
        drop(inner);
        self.env.wake(WaitKey::Book(id));
    }
}

impl<E: Environment> Drop for Turn<'_, E> {
    fn drop(&mut self) {
        let number = self.number;
        self.replica.at_desk(self.id, |desk| {
            desk.writers.retain(|writer| *writer != number)
        });
    }
}

/// The right to settle a book. Ends when dropped.
pub struct Settling<'a, E: Environment> {
    replica: &'a Replica<E>,
    id: BookId,
}

impl<E: Environment> Drop for Settling<'_, E> {
    fn drop(&mut self) {
        self.replica.at_desk(self.id, |desk| desk.settling = false);
    }
}
