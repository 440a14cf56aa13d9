//! Changes of several books at once: each by itself, all with one round of messages and one save.
//!
//! Nothing here waits for one book only. Whatever would need that (another writer, a copy of which
//! too little is known, a better copy elsewhere) is handed back with an error that says so, and
//! whoever asked goes on with [`Replica::update`]. So a slow book holds up nobody's sale of
//! another.

use std::sync::Arc;

use super::Replica;
use crate::catalog::replication::book_locks::Turn;
use crate::catalog::replication::env::Environment;
use crate::catalog::replication::invalidate::voids;
use crate::catalog::replication::write::{Begun, Prepared, Update, Updated};
use crate::catalog::shelf::copy_state::CopyState;
use crate::model::book::BookId;
use crate::model::error::{Error, Result};

/// A write that may go on, with its place in the list.
struct Started<'a, E: Environment> {
    at: usize,
    begun: Begun,
    _turn: Turn<'a, E>,
}

impl<E: Environment> Replica<E> {
    /// Changes these books, as [`Replica::update`] does one.
    ///
    /// Each fails by itself, as an update does; and with [`Error::Busy`] when it must be asked for
    /// alone. A write that met a better copy is [`Error::TimedOut`]: it may have come true all the
    /// same, which an update would find out.
    pub fn batch_write(self: &Arc<Self>, updates: &[(BookId, Update)]) -> Vec<Result<Updated>> {
        let mut outcomes = vec![Err(alone()); updates.len()];
        let mut started = Vec::new();
        for (at, (id, update)) in updates.iter().enumerate() {
            match self.start_at_once(*id, update) {
                Ok((_turn, Prepared::Begun(begun))) => started.push(Started { at, begun, _turn }),
                Ok((_, Prepared::Nothing(updated))) => outcomes[at] = Ok(updated),
                Ok((_, Prepared::Settle)) => (),
                Err(error) => outcomes[at] = Err(error),
            }
        }
        for (at, outcome) in self.finish_together(&started) {
            outcomes[at] = outcome;
        }
        outcomes
    }

    /// Steps 1 to 3, if they need no waiting.
    fn start_at_once(&self, id: BookId, update: &Update) -> Result<(Turn<'_, E>, Prepared)> {
        let mut inner = self.lock();
        let trusted = self.trusts(&inner);
        match inner.shelf.book(id) {
            None if trusted && inner.caught_up => return Err(Error::NotFound),
            Some(_) if trusted && inner.shelf.state(id) == CopyState::Valid => (),
            _ => return Err(alone()),
        }
        let turn = self.turn_at_once(&mut inner, id).ok_or_else(alone)?;
        let judged = self.judge(&mut inner, id, update);
        // A turn that ends needs the lock.
        drop(inner);
        Ok((turn, judged?))
    }

    fn finish_together(
        self: &Arc<Self>,
        started: &[Started<'_, E>],
    ) -> Vec<(usize, Result<Updated>)> {
        let Some(first) = started.first() else {
            return Vec::new();
        };
        let voids: Vec<_> = started
            .iter()
            .flat_map(|write| voids(&write.begun.old, &write.begun.new))
            .collect();
        let books: Vec<_> = started
            .iter()
            .map(|write| write.begun.new.clone())
            .collect();
        // The valid list may have been emptied between two beginnings: then none of them is called
        // valid.
        let epoch = first.begun.epoch;
        let outdone = self.bring_about(&books, epoch, &voids);
        let outcome = |write: &Started<'_, E>| match &outdone {
            Ok(outdone) if outdone.contains(&write.begun.new.id) => Err(surpassed()),
            Ok(_) => Ok(Updated {
                book: write.begun.new.clone(),
                replayed: false,
            }),
            Err(error) => Err(error.clone()),
        };
        started
            .iter()
            .map(|write| (write.at, outcome(write)))
            .collect()
    }
}

fn alone() -> Error {
    Error::Busy("This change needs a wait of its own: ask for it alone".into())
}

fn surpassed() -> Error {
    Error::TimedOut(
        "Another copy took the place of this change, which may have come true all the same".into(),
    )
}
