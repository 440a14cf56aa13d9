//! What a catalog says of itself, and what it makes of what others say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::LeftOut;
use crate::catalog::replication::rules::Rule;
use crate::membership::time::Time;
use crate::model::address::Address;
use crate::model::number::is_zero;

/// An older folder that was started more often than this, before any peer heard of it, is not known.
const PAST_STARTS_MAX: usize = 100;

/// How a catalog stands. It is sent with each heartbeat, its answer, each update, page and request to
/// be struck off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) from: Address,
    /// Tells this start from every other.
    pub(crate) start: u64,
    /// How often this data folder was started, this start included.
    pub(crate) starts: u64,
    /// How often in this start its own copies began to lose outright. What it acknowledged before
    /// may be gone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) period: u64,
    /// Grows with every change of what is said in one start.
    pub(crate) sequence: u64,
    pub(crate) left_out: BTreeSet<Address>,
    /// The peers that may have a write that this catalog has forgotten: it acknowledges nothing but
    /// theirs.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) not_compared: BTreeSet<Address>,
    pub(crate) serving: bool,
    /// The folder holds a whole shop. A new folder does not, until it has caught up.
    pub(crate) whole: bool,
    /// Its disk refuses writes.
    pub(crate) disk_refuses: bool,
    /// Of an empty folder: the digest of the first stock that it would open with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_stock: Option<u64>,
}

/// What a catalog hands out with an answer to a heartbeat, and wants to see with an update: that
/// the sender has not missed that it was left out meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Token {
    start: u64,
    /// How often the asker was left out.
    gap: u64,
    /// When it was handed out, in milliseconds of the answerer's monotonic clock.
    at: u64,
}

/// A peer, as it stood when it was asked for its books.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) peer: usize,
    /// Its start, and the number of what it had said of itself last.
    said: Option<(u64, u64)>,
    /// It was on this catalog's list.
    pub(crate) was_told: bool,
}

/// Why a record is not on disk for sure.
#[derive(Debug)]
pub(crate) struct NotSaved {
    /// What the disk reported.
    pub(crate) why: String,
    /// Only the last steps failed: nobody knows which of the two records is on disk.
    pub(crate) may_be_there: bool,
}

impl From<NotSaved> for String {
    fn from(error: NotSaved) -> String {
        error.why
    }
}

/// What a catalog keeps on disk of its standing among the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) starts: u64,
    pub(crate) whole: bool,
    pub(crate) left_out: BTreeSet<Address>,
    /// The start numbers of the last [`PAST_STARTS_MAX`] starts, by their counts. Counts alone do not
    /// tell an older folder that was started again and again.
    #[serde(default)]
    pub(crate) past_starts: BTreeMap<u64, u64>,
    /// The peers that had this catalog on their lists when they were last heard of.
    #[serde(default)]
    pub(crate) listed_by: BTreeSet<Address>,
    /// The last start that was heard of each peer: how often it was started, and its start number.
    #[serde(default)]
    pub(crate) peers: BTreeMap<Address, (u64, u64)>,
    /// How many ids share a file of books; 0 in earlier versions. Only the storage sets it, and
    /// refuses a number of which it would not find the files.
    #[serde(default)]
    pub(crate) ids_per_file: u64,
}

impl Record {
    /// Counts a start of the folder, which has this number.
    pub(crate) fn begin_start(&mut self, start: u64) {
        self.starts += 1;
        self.past_starts.insert(self.starts, start);
        while PAST_STARTS_MAX < self.past_starts.len() {
            self.past_starts.pop_first();
        }
    }
}

/// What [`LeftOut::hear`] changed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Heard {
    /// This catalog was left out: nothing that is here may be trusted.
    pub(crate) learned: bool,
    /// The list has changed and must be saved.
    pub(crate) list_changed: bool,
}

/// As in [`Token::at`].
fn in_ms(time: Time) -> u64 {
    time.monotonic.as_millis() as u64
}

impl LeftOut {
    /// What this catalog says of itself now.
    pub(crate) fn standing(&mut self, serving: bool, disk_refuses: bool) -> Standing {
        let mut standing = Standing {
            from: self.address.clone(),
            start: self.start,
            starts: self.starts,
            period: self.period,
            sequence: self.said.as_ref().map_or(0, |said| said.sequence),
            left_out: self.list(self.peers().filter(|i| self.is_told(*i))),
            not_compared: self.addresses(self.peers().filter(|i| self.may_hold_forgotten(*i))),
            serving,
            whole: self.whole,
            disk_refuses,
            first_stock: self.first_stock.filter(|_| !self.whole),
        };
        if self.said.as_ref() != Some(&standing) {
            standing.sequence += 1;
            self.said = Some(standing.clone());
        }
        standing
    }

    /// The peers that are known to list this catalog: they are told so with every heartbeat.
    pub(crate) fn known_listers(&self) -> BTreeSet<Address> {
        self.addresses(self.peers().filter(|i| self.peers[*i].learned))
    }

    /// For an answer to a heartbeat of peer `i`.
    pub(crate) fn token(&self, i: usize, now: Time) -> Token {
        Token {
            start: self.start,
            gap: self.peers[i].gap,
            at: in_ms(now),
        }
    }

    /// The token of the last answer of peer `i`, to show with an update.
    pub(crate) fn token_of(&self, i: usize) -> Option<Token> {
        self.peers[i].token
    }

    /// Whether an update or request of peer `i` that shows this token comes from one that has not
    /// missed anything: it is not from before that peer was left out, nor older than a lease.
    pub(crate) fn accepts(&self, i: usize, start: u64, token: Option<Token>, now: Time) -> bool {
        if !self.rules.enforce(Rule::Token) {
            return true;
        }
        let current = self.token(i, now);
        let is_current = |token: Token| {
            let age = Duration::from_millis(current.at.saturating_sub(token.at));
            let same = (token.start, token.gap) == (current.start, current.gap);
            // While what is here loses outright to its copies, one that it sent before this period
            // would replace what is newer.
            let is_present = !self.peers[i].yields
                || in_ms(self.period_since) <= token.at
                || !self.rules.enforce(Rule::PresentPeriod);
            same && is_present && age <= self.timing.lease
        };
        self.peers[i].start() == Some(start) && token.is_some_and(is_current)
    }

    /// Peer `i` is about to be asked for its books.
    pub(crate) fn asked(&self, i: usize) -> Asked {
        let said = self.peers[i].said.as_ref();
        Asked {
            peer: i,
            said: said.map(|said| (said.start, said.sequence)),
            was_told: self.is_told(i),
        }
    }

    /// Whether what it answers counts. It does not if the peer was left out since, nor if it stands
    /// otherwise: what it sent may have lost outright there.
    pub(crate) fn counts(&self, asked: &Asked) -> bool {
        let now = self.asked(asked.peer);
        let is_left_out = now.was_told && !asked.was_told;
        now.said == asked.said && !is_left_out || !self.rules.enforce(Rule::PresentAnswers)
    }

    /// Peer `i` says this of itself; `is_answer`: in answer to a heartbeat of this catalog that was
    /// sent after anything else of it was heard. `serving`: this catalog serves now; `complete`, of
    /// a new start of the peer: it does, or will in the moment in which its list is on disk. `None`:
    /// an older statement is ignored.
    pub(crate) fn hear(
        &mut self,
        i: usize,
        standing: &Standing,
        is_answer: bool,
        serving: bool,
        complete: bool,
    ) -> Option<Heard> {
        let mut heard = Heard::default();
        let counted = (standing.starts, standing.start);
        let peer = &mut self.peers[i];
        let was_listed = self.listed.contains(&i);
        let same_start = peer.start() == Some(standing.start);
        let in_order = self.rules.enforce(Rule::StandingOrder);
        let is_older = |said: &Standing| standing.sequence < said.sequence && in_order;
        if same_start && peer.said.as_ref().is_some_and(is_older) {
            return None;
        }
        let outdated = counted != peer.seen && standing.starts <= peer.seen.0;
        // A late message of an earlier start, or an old folder: an answer to our own heartbeat
        // will tell.
        if !is_answer && !same_start && outdated && self.rules.enforce(Rule::OlderStart) {
            return None;
        }
        let before = peer.said.replace(standing.clone());
        if !same_start {
            peer.seen_before = Some(peer.seen).filter(|seen| seen.0 != 0);
            peer.had_all = complete || peer.seen_before.is_none();
            if before.is_some() && self.listed.contains(&i) {
                peer.gap += 1;
            }
            peer.old_folder = outdated && self.rules.enforce(Rule::CountStarts);
            peer.knows = false;
            peer.in_step = false;
            peer.learned = false;
        }
        if peer.seen.0 < standing.starts {
            peer.old_folder = false;
        }
        let whole = standing.whole && !peer.old_folder;
        peer.in_step &= whole;
        let counts = whole || !self.rules.enforce(Rule::NewFolderList);
        peer.had_all &= !(standing.serving && standing.left_out.contains(&self.address));
        let misses = !whole && self.misses_folder(i);
        heard.list_changed |= self.listed.contains(&i) && !was_listed;
        let stays_split = misses && self.is_split_from(i);
        let lists_us = standing.left_out.contains(&self.address) && counts || stays_split;
        let peer = &mut self.peers[i];
        // If the folder that is missed is put back, it must not look like an older one.
        if !peer.old_folder && peer.seen != counted && !misses {
            peer.seen = counted;
            self.is_dirty = true;
            heard.list_changed = true;
        }
        if self.peers[i].lists_us != lists_us {
            self.peers[i].lists_us = lists_us;
            // It matters only while each of the two lists the other.
            self.is_dirty |= self.listed.contains(&i);
            heard.list_changed = true;
        }
        let mutual = self.is_told(i);
        let theirs_counts = !mutual || standing.serving && !serving;
        let peer = &mut self.peers[i];
        if lists_us {
            if theirs_counts && !peer.learned {
                peer.learned = true;
                peer.yields = self.rules.enforce(Rule::LoseOutright);
                heard.learned = true;
            }
            peer.in_step = false;
        } else {
            peer.learned = false;
            peer.yields = false;
        }
        Some(heard)
    }

    /// Peer `i` has answered a heartbeat that was sent at `sent`.
    pub(crate) fn answered(&mut self, i: usize, sent: Time, token: Token) {
        let lists_us = self.lists_us(i);
        let peer = &mut self.peers[i];
        peer.token = Some(token);
        if !lists_us {
            peer.answered = Some(sent);
        }
    }

    /// Peer `i` says that it knows that it is on this catalog's list.
    pub(crate) fn knows(&mut self, i: usize) {
        self.peers[i].knows = true;
    }
}
