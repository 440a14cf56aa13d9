//! Step 4 of a write: a load of books goes to every peer that has not refused, and to this
//! catalog's own disk meanwhile.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{Message, Outcome, Reply};
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::{Hold, Inner, Replica};
use crate::catalog::shelf::copy_state::CopyState;
use crate::membership::Time;
use crate::model::book::{Book, BookId, Version};
use crate::model::error::{Error, Result};

/// A peer that may be alive is waited for this long before a write goes on without it …
const SUSPECT_WAIT: Duration = Duration::from_millis(30);

/// … unless nothing was heard of it for this long.
const SUSPECT_FORGOTTEN: Duration = Duration::from_secs(2);

/// A message that broke is sent again after this pause.
const AGAIN_PAUSE: Duration = Duration::from_millis(20);

/// What a round brings to the peers.
#[derive(Clone, Debug)]
pub(super) enum Load {
    Books(Vec<Arc<Book>>),
    /// Books that the peers have already, as far as one knows.
    Versions(Vec<(BookId, Version)>),
}

/// How a round with a load ended.
#[derive(Debug)]
pub(super) struct Spread {
    /// The books that conflict with some of the load. All the rest is on disk at every live peer.
    pub conflicts: Vec<(Arc<Book>, CopyState)>,
    /// Of a load of versions: the ids of which some peer has another version.
    pub differing: Vec<BookId>,
    /// Every peer in the settings has it.
    pub everywhere: bool,
}

/// Where one peer stands in a round.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    Not,
    /// Sent at this time (first), no answer yet.
    Sent(Duration),
    /// No answer came; sent first, failed last.
    Silent(Duration, Duration),
    Refused,
    Done,
}

impl Load {
    fn message(&self) -> Message {
        match self {
            Load::Books(books) => Message::Update {
                books: books.clone(),
            },
            Load::Versions(versions) => Message::Claim {
                versions: versions.clone(),
            },
        }
    }

    pub(super) fn ids(&self) -> Vec<BookId> {
        match self {
            Load::Books(books) => books.iter().map(|book| book.id).collect(),
            Load::Versions(versions) => versions.iter().map(|(id, _)| *id).collect(),
        }
    }

    fn single(&self) -> bool {
        matches!(self, Load::Books(books) if books.len() == 1)
    }
}

impl<E: Environment> Replica<E> {
    /// Step 4: brings the load to every peer that has not refused, and to this catalog's own disk
    /// meanwhile, until every peer that is live *now* has it. A single book comes back as soon as
    /// anything conflicts with it.
    ///
    /// Fails with [`Error::TimedOut`] when live peers do not answer in time, or with
    /// [`Error::DiskRefuses`]; nothing is undone then.
    pub(super) fn spread(self: &Arc<Self>, load: &Load) -> Result<Spread> {
        let round = self.round();
        let until = self.in_time(self.config.timeout);
        let mut asks = vec![Ask::Not; self.config.peers.len()];
        let mut spread = Spread {
            conflicts: Vec::new(),
            differing: Vec::new(),
            everywhere: false,
        };
        let mut epoch = self.lock().shelf.epoch();
        let mut saved = false;
        loop {
            let mut inner = self.lock();
            if self.stalled(&inner) || self.holds(Rule::Stall) && inner.shelf.epoch() != epoch {
                epoch = inner.shelf.epoch();
                drop(inner);
                self.full_round(until);
                asks.iter_mut()
                    .filter(|ask| matches!(ask, Ask::Silent(..)))
                    .for_each(|ask| *ask = Ask::Not);
                if until <= self.now().monotonic {
                    return Err(out_of_time());
                }
                continue;
            }
            self.take_in(&mut inner, round.number, &mut asks, &mut spread);
            if load.single() && !spread.conflicts.is_empty() {
                return Ok(spread);
            }
            let wanted = self.to_ask(&inner, &mut asks);
            if !wanted.is_empty() || !saved {
                let missing = self.not_on_disk(&inner, load);
                drop(inner);
                for peer in wanted {
                    self.post(round.number, peer, load.message());
                }
                if !std::mem::replace(&mut saved, true) && !missing.is_empty() {
                    self.save(&missing)?;
                }
                continue;
            }
            let time = self.now();
            let now = time.monotonic;
            let (waits_for_live, settled_at) = self.left(&inner, &asks, time);
            if !waits_for_live && settled_at <= now {
                spread.everywhere = asks.iter().all(|ask| *ask == Ask::Done);
                return Ok(spread);
            }
            if waits_for_live && until <= now {
                return Err(out_of_time());
            }
            let next = if waits_for_live {
                until.min(now + AGAIN_PAUSE)
            } else {
                settled_at
            };
            drop(self.wait(inner, WaitKey::Round(round.number), next));
        }
    }

    fn not_on_disk(&self, inner: &Inner, load: &Load) -> Vec<BookId> {
        let missing = |id: &BookId| {
            let version = inner.shelf.version(*id);
            version.is_some_and(|version| !inner.shelf.on_disk(*id, version))
        };
        load.ids().into_iter().filter(missing).collect()
    }

    /// Looks at the answers that came in.
    fn take_in(&self, inner: &mut Hold<'_>, round: u64, asks: &mut [Ask], spread: &mut Spread) {
        let now = self.now().monotonic;
        let arrived = inner
            .rounds
            .get_mut(&round)
            .map(std::mem::take)
            .unwrap_or_default();
        for (peer, outcome) in arrived {
            let sent = match asks[peer] {
                Ask::Sent(sent) => sent,
                _ => now,
            };
            asks[peer] = match outcome {
                Outcome::Reply(Reply::Updated { conflicts }) => {
                    spread.conflicts.extend(conflicts);
                    Ask::Done
                }
                Outcome::Reply(Reply::Claimed { differing }) => {
                    spread.differing.extend(differing);
                    Ask::Done
                }
                Outcome::Refused => Ask::Refused,
                _ => Ask::Silent(sent, now),
            };
        }
    }

    /// The peers to send to now, marked so: who was not asked yet, and live ones that were asked in
    /// vain.
    fn to_ask(&self, inner: &Inner, asks: &mut [Ask]) -> Vec<usize> {
        let now = self.now().monotonic;
        let mut wanted = Vec::new();
        for (peer, ask) in asks.iter_mut().enumerate() {
            let live = inner.contact.peers[peer].live;
            let first = match *ask {
                Ask::Not if live || self.holds(Rule::UpdateAll) => now,
                Ask::Refused if live => now,
                Ask::Silent(first, last) if live && last + AGAIN_PAUSE <= now => first,
                _ => continue,
            };
            *ask = Ask::Sent(first);
            wanted.push(peer);
        }
        wanted
    }

    /// Whether a live peer still lacks the load; and when those that are counted as down, but may
    /// be alive, can neither answer from an old copy nor are worth waiting for.
    fn left(&self, inner: &Inner, asks: &[Ask], now: Time) -> (bool, Duration) {
        let mut waits_for_live = false;
        let mut settled_at = Duration::ZERO;
        for (party, ask) in inner.contact.peers.iter().zip(asks) {
            if matches!(ask, Ask::Done) {
                continue;
            }
            waits_for_live |= party.live;
            if matches!(ask, Ask::Refused) {
                continue;
            }
            if self.holds(Rule::Lease) {
                settled_at = settled_at.max(now.monotonic + inner.contact.lease_left(party, now));
            }
            let lately = now.since(party.last_contact) < SUSPECT_FORGOTTEN;
            if let (Ask::Sent(first) | Ask::Silent(first, _), true) = (ask, lately) {
                settled_at = settled_at.max(*first + SUSPECT_WAIT);
            }
        }
        (waits_for_live, settled_at)
    }
}

fn out_of_time() -> Error {
    Error::TimedOut(
        "The other catalogs did not answer in time; the change may come true yet".into(),
    )
}
