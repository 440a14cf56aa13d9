//! `PROTOCOL.md`, "Write 4: replicate": books go to every peer that has not refused, and to this
//! catalog's own disk meanwhile. "Which peers must acknowledge a write" is decided here.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::replication::env::{Environment, WaitKey};
use crate::catalog::replication::messages::{Copies, Message, Outcome, Reply, Versions};
use crate::catalog::replication::rpc_round::RpcRound;
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::{Inner, Replica};
use crate::membership::time::Time;
use crate::model::book::{Book, BookId};
use crate::model::error::{Error, Result};

/// How long a peer that may be alive is waited for before a write goes on without it, unless
/// nothing was received from it for [`SUSPECT_FORGOTTEN`].
const SUSPECT_WAIT: Duration = Duration::from_millis(30);

const SUSPECT_FORGOTTEN: Duration = Duration::from_secs(2);

/// The pause before a message that broke is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// What is replicated.
#[derive(Clone, Debug)]
pub(super) enum Payload {
    Books(Vec<Arc<Book>>),
    /// Books that the peers are believed to have already.
    Versions(Versions),
}

/// How a replication ended.
#[derive(Debug, Default)]
pub(super) struct Replicated {
    /// Peers' copies that conflict with some of the books. All other books are on disk at every
    /// live peer.
    pub(super) conflicts: Copies,
    /// The ids of which some peer has another version than the payload names.
    pub(super) differing: Vec<BookId>,
    /// Every peer in the settings has it.
    pub(super) everywhere: bool,
}

/// How far one peer is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Progress {
    NotSent,
    /// First sent at that time. No answer has arrived yet.
    Sent(Duration),
    /// First sent at that time, last failed at that time.
    Failed(Duration, Duration),
    Refused,
    Done,
}

impl Payload {
    fn message(&self) -> Message {
        match self.clone() {
            Payload::Books(books) => Message::Update { books },
            Payload::Versions(versions) => Message::Claim { versions },
        }
    }

    fn ids(&self) -> Vec<BookId> {
        match self {
            Payload::Books(books) => books.iter().map(|book| book.id).collect(),
            Payload::Versions(versions) => versions.iter().map(|(id, _)| *id).collect(),
        }
    }

    fn is_single_book(&self) -> bool {
        matches!(self, Payload::Books(books) if books.len() == 1)
    }
}

/// A replication in progress.
struct Replication<'a, E: Environment> {
    replica: &'a Arc<Replica<E>>,
    round: RpcRound<'a, E>,
    /// By peer.
    progress: Vec<Progress>,
    result: Replicated,
    /// The valid list's epoch when the present suspicions began.
    epoch: u32,
    /// After this, no live peer is waited for.
    until: Duration,
}

impl<E: Environment> Replica<E> {
    /// Brings the payload to every peer that has not refused, and to this catalog's own disk
    /// meanwhile, until every peer that is live *now* has acknowledged it. With a single book it
    /// returns as soon as any copy conflicts.
    ///
    /// Fails with [`Error::TimedOut`] when live peers do not answer in time, or with
    /// [`Error::DiskRefuses`]. Nothing is undone then.
    pub(super) fn replicate(self: &Arc<Self>, payload: &Payload) -> Result<Replicated> {
        let mut run = Replication {
            replica: self,
            round: self.rpc_round(),
            progress: vec![Progress::NotSent; self.config.peers.len()],
            result: Replicated::default(),
            epoch: self.lock().shelf.epoch(),
            until: self.deadline(self.config.timeout),
        };
        let mut saved = false;
        loop {
            let mut inner = self.lock();
            if run.stalled(&inner) {
                drop(inner);
                run.begin_again()?;
                continue;
            }
            run.take_outcomes(&mut inner);
            if payload.is_single_book() && !run.result.conflicts.is_empty() {
                return Ok(run.result);
            }
            let due = run.due(&inner);
            if !due.is_empty() || !saved {
                let unsaved = unsaved(&inner, payload);
                drop(inner);
                for peer in due {
                    run.round.send(peer, payload.message());
                }
                if !std::mem::replace(&mut saved, true) && !unsaved.is_empty() {
                    self.save(&unsaved)?;
                }
                continue;
            }
            let Some(wake_at) = run.wait_until(&inner)? else {
                run.result.everywhere = run.progress.iter().all(|p| *p == Progress::Done);
                return Ok(run.result);
            };
            drop(self.wait(inner, WaitKey::Round(run.round.number), wake_at));
        }
    }
}

impl<E: Environment> Replication<'_, E> {
    /// Whether this process stalled, or may have missed something, since the present suspicions
    /// began.
    fn stalled(&mut self, inner: &Inner) -> bool {
        let before = std::mem::replace(&mut self.epoch, inner.shelf.epoch());
        let missed = self.replica.enforces(Rule::Stall) && before != self.epoch;
        self.replica.stalled(inner) || missed
    }

    /// A process that stalled cannot tell which peers were silent: it completes a round of
    /// heartbeats and sends again to those that seemed to be.
    ///
    /// Fails with [`Error::TimedOut`].
    fn begin_again(&mut self) -> Result<()> {
        self.replica.heartbeat_round(self.until);
        for progress in &mut self.progress {
            if matches!(progress, Progress::Failed(..)) {
                *progress = Progress::NotSent;
            }
        }
        if self.replica.is_over(self.until) {
            return Err(timed_out());
        }
        Ok(())
    }

    fn take_outcomes(&mut self, inner: &mut Inner) {
        let now = self.replica.now().monotonic;
        for (peer, outcome) in self.round.take(inner) {
            let first_sent = match self.progress[peer] {
                Progress::Sent(first_sent) => first_sent,
                _ => now,
            };
            self.progress[peer] = match outcome {
                Outcome::Reply(Reply::Updated { conflicts }) => {
                    self.result.conflicts.extend(conflicts);
                    Progress::Done
                }
                Outcome::Reply(Reply::Claimed { differing }) => {
                    self.result.differing.extend(differing);
                    Progress::Done
                }
                Outcome::Refused => Progress::Refused,
                _ => Progress::Failed(first_sent, now),
            };
        }
    }

    /// The peers to send to now, marked as sent: those that nothing was sent to yet, and live ones
    /// where it failed.
    fn due(&mut self, inner: &Inner) -> Vec<usize> {
        let now = self.replica.now().monotonic;
        let update_all = self.replica.enforces(Rule::UpdateAll);
        let mut due = Vec::new();
        for (peer, progress) in self.progress.iter_mut().enumerate() {
            let live = inner.membership.peers[peer].live;
            let first_sent = match *progress {
                Progress::NotSent if live || update_all => now,
                Progress::Refused if live => now,
                Progress::Failed(first, last) if live && last + RETRY_PAUSE <= now => first,
                _ => continue,
            };
            *progress = Progress::Sent(first_sent);
            due.push(peer);
        }
        due
    }

    /// Until when to wait before looking again. `None`: every peer has acknowledged that must.
    ///
    /// Fails with [`Error::TimedOut`] when a live peer has not acknowledged in time.
    fn wait_until(&self, inner: &Inner) -> Result<Option<Duration>> {
        let time = self.replica.now();
        let now = time.monotonic;
        let (live_lacks, suspects_over) = self.lacking(inner, time);
        if live_lacks && self.until <= now {
            return Err(timed_out());
        }
        if live_lacks {
            return Ok(Some(self.until.min(now + RETRY_PAUSE)));
        }
        Ok(Some(suspects_over).filter(|over| now < *over))
    }

    /// Whether a live peer has not acknowledged; and until when to wait for peers that are counted
    /// as down but may be alive: until they can no longer answer from an old copy, and have had
    /// their chance to acknowledge.
    fn lacking(&self, inner: &Inner, now: Time) -> (bool, Duration) {
        let mut live_lacks = false;
        let mut suspects_over = Duration::ZERO;
        for (peer, progress) in inner.membership.peers.iter().zip(&self.progress) {
            if matches!(progress, Progress::Done) {
                continue;
            }
            live_lacks |= peer.live;
            if matches!(progress, Progress::Refused) {
                continue;
            }
            if self.replica.enforces(Rule::Lease) {
                let lease_over = now.monotonic + inner.membership.lease_left(peer, now);
                suspects_over = suspects_over.max(lease_over);
            }
            let lately = now.since_max(peer.last_contact) < SUSPECT_FORGOTTEN;
            if let (Progress::Sent(first) | Progress::Failed(first, _), true) = (progress, lately) {
                suspects_over = suspects_over.max(*first + SUSPECT_WAIT);
            }
        }
        (live_lacks, suspects_over)
    }
}

/// The books of the payload whose version here is not on disk.
fn unsaved(inner: &Inner, payload: &Payload) -> Vec<BookId> {
    let unsaved = |id: &BookId| {
        let version = inner.shelf.version(*id);
        version.is_some_and(|version| !inner.shelf.on_disk(*id, version))
    };
    payload.ids().into_iter().filter(unsaved).collect()
}

fn timed_out() -> Error {
    Error::TimedOut(
        "The other catalogs did not answer in time; the change may still be committed".into(),
    )
}
