//! The left-out list: which peers may lack something that this catalog holds, and what follows.
//!
//! A catalog that goes on without a peer writes that down first. So, after any order of crashes,
//! each catalog can tell whether it may have missed something: it has, when a peer lists it, and
//! it may have, while a peer that it does not list has not answered. The idea is Skeen's
//! ("Determining the last process to fail", TOCS 1985). `PROTOCOL.md` has the rules; this file is
//! those about lists, without threads, network, disk or clock: the caller brings all of them.
//!
//! Peers are numbered as in the settings, here and in [`Membership`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catalog::replication::Config;
use crate::catalog::replication::rules::{Rule, Rules};
use crate::config::timing::Timing;
use crate::membership::Membership;
use crate::membership::time::Time;
use crate::model::address::Address;

/// For how many leases all catalogs are in contact, and none serves, before they forgive each
/// other.
const STUCK_LEASES: u32 = 3;

/// How far a new or old folder counts its starts on from what a peer has seen, so that the count is
/// above what any other peer may have seen.
const STARTS_STEP: u64 = 1000;

/// What a catalog says of itself in every heartbeat, answer to one, update, page and request to be
/// struck off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) from: Address,
    /// Tells this start from every other.
    pub(crate) start: u64,
    /// How often this data folder was started, this start included.
    pub(crate) starts: u64,
    /// Grows with every change of what is said in one start.
    pub(crate) sequence: u64,
    pub(crate) left_out: BTreeSet<Address>,
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

/// What a catalog keeps on disk of its standing among the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) starts: u64,
    pub(crate) whole: bool,
    pub(crate) left_out: BTreeSet<Address>,
    /// The last start that was heard of each peer: how often it was started, and its start number.
    #[serde(default)]
    pub(crate) peers: BTreeMap<Address, (u64, u64)>,
}

/// Where one peer stands with this catalog.
#[derive(Debug, Default)]
struct PeerStanding {
    /// Caught up with it since this start, or since this catalog was last on its list.
    in_step: bool,
    /// As [`Record::peers`].
    seen: (u64, u64),
    /// An old folder was put back there: it counts as an empty one.
    old_folder: bool,
    /// Of its last answer to a heartbeat.
    token: Option<Token>,
    /// It has said that it knows that it is on this catalog's list.
    knows: bool,
    /// This catalog has learned that it is on this peer's list.
    learned: bool,
    /// This catalog's own copies lose outright to those of this peer.
    yields: bool,
    /// How often it was left out; part of the token.
    gap: u64,
    /// Its start that was struck off.
    struck: Option<u64>,
    /// When the last heartbeat was sent that it answered without listing this catalog.
    answered: Option<Time>,
    /// Nobody remembers which copies changed here while it was left out: that was before this
    /// start, or before it asked to come back, or the lists formed a circle.
    unrecorded: bool,
    /// What it said last, in the last start that was heard of.
    said: Option<Standing>,
}

impl PeerStanding {
    fn start(&self) -> Option<u64> {
        self.said.as_ref().map(|said| said.start)
    }
}

/// Why a catalog does not serve.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NotServing {
    /// It has just started, and asks the others first.
    Starting,
    /// Its folder is empty, and the others have not given it their books yet.
    Empty,
    /// It was itself stopped for a moment.
    Stalled,
    /// This peer may hold what is lacking here, and must be asked first.
    WaitsFor(usize),
}

/// What [`LeftOut::hear`] changed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Heard {
    /// This catalog was left out: nothing that is here may be trusted.
    pub(crate) learned: bool,
    /// The list has changed and must be saved.
    pub(crate) list_changed: bool,
}

/// One catalog's list, and its standing with each peer. Plain state: the owner keeps it under its
/// lock.
#[derive(Debug)]
pub(crate) struct LeftOut {
    address: Address,
    timing: Timing,
    rules: Rules,
    pub(crate) start: u64,
    starts: u64,
    /// The first heartbeats after the start have ended.
    pub(crate) ready: bool,
    pub(crate) whole: bool,
    /// The folder is whole once that is on disk.
    becomes_whole: bool,
    /// It was not whole when this start began, and is now.
    is_renewed: bool,
    /// Decided. Counts once it is on disk, too.
    listed: BTreeSet<usize>,
    on_disk: BTreeSet<usize>,
    /// On the list, but not in the settings: catalogs that left the shop. Others may still name
    /// them.
    former: BTreeSet<Address>,
    /// Left out for another catalog's sake, and not yet sure to know.
    fencing: BTreeSet<usize>,
    said: Option<Standing>,
    peers: Vec<PeerStanding>,
    /// When this process was last found to have been stopped.
    pub(crate) awake_since: Time,
    /// When this catalog last decided by itself to leave peers out, and which are not on disk yet.
    decided: Time,
    undecided: BTreeSet<usize>,
    /// Since when no catalog serves, although all are in contact.
    stuck_since: Option<Time>,
    /// What is on disk of the peers' starts, and of `whole`, is not what is here.
    is_dirty: bool,
    /// While the folder is new: the digest of the first stock.
    pub(crate) first_stock: Option<u64>,
    addresses: Vec<Address>,
}

/// Those on a list that are neither this catalog nor in its settings.
fn former_peers(list: &BTreeSet<Address>, own: &Address, peers: &[Address]) -> BTreeSet<Address> {
    let is_former = |address: &&Address| *address != own && !peers.contains(address);
    list.iter().filter(is_former).cloned().collect()
}

impl LeftOut {
    /// A start of this data folder. `record` is what the folder holds; its count of starts is
    /// already that of this start, on disk.
    pub(crate) fn new(config: &Config, start: u64, record: &Record, now: Time) -> LeftOut {
        let addresses = config.peers.clone();
        let is_listed = |i: &usize| record.left_out.contains(&addresses[*i]);
        let listed: BTreeSet<usize> = (0..addresses.len()).filter(is_listed).collect();
        let peer = |address: &Address| PeerStanding {
            seen: record.peers.get(address).copied().unwrap_or_default(),
            unrecorded: record.left_out.contains(address),
            ..PeerStanding::default()
        };
        LeftOut {
            address: config.address.clone(),
            timing: config.timing,
            rules: config.rules,
            start,
            starts: record.starts,
            ready: false,
            whole: record.whole,
            becomes_whole: false,
            is_renewed: false,
            on_disk: listed.clone(),
            listed,
            former: former_peers(&record.left_out, &config.address, &config.peers),
            fencing: BTreeSet::new(),
            said: None,
            peers: addresses.iter().map(peer).collect(),
            awake_since: now,
            decided: now,
            undecided: BTreeSet::new(),
            stuck_since: None,
            is_dirty: false,
            first_stock: None,
            addresses,
        }
    }

    // --- What is said to others ---------------------------------------------------------------

    /// What this catalog says of itself now.
    pub(crate) fn standing(&mut self, serving: bool, disk_refuses: bool) -> Standing {
        let mut standing = Standing {
            from: self.address.clone(),
            start: self.start,
            starts: self.starts,
            sequence: self.said.as_ref().map_or(0, |said| said.sequence),
            left_out: self.list(self.peers().filter(|i| self.is_told(*i))),
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
            at: now.monotonic.as_millis() as u64,
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
            same && age <= self.timing.lease
        };
        self.peers[i].start() == Some(start) && token.is_some_and(is_current)
    }

    // --- What others say ----------------------------------------------------------------------

    /// Peer `i` says this of itself; `is_answer`: in answer to a heartbeat of this catalog that was
    /// sent after anything else of it was heard. `serving`: this catalog serves now. `None`: an
    /// older statement is ignored.
    pub(crate) fn hear(
        &mut self,
        i: usize,
        standing: &Standing,
        is_answer: bool,
        serving: bool,
        has_own_copies: bool,
    ) -> Option<Heard> {
        let mut heard = Heard::default();
        let counted = (standing.starts, standing.start);
        let peer = &mut self.peers[i];
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
        if !peer.old_folder && peer.seen != counted {
            peer.seen = counted;
            self.is_dirty = true;
            heard.list_changed = true;
        }
        let whole = standing.whole && !peer.old_folder;
        let was_struck = peer.struck == Some(standing.start) && peer.in_step;
        let counts = whole || !self.rules.enforce(Rule::NewFolderList);
        let lists_us = standing.left_out.contains(&self.address) && counts;
        // An empty folder lacks everything.
        let lacks_everything = !whole && self.whole && self.rules.enforce(Rule::NewFolderLeftOut);
        if lacks_everything && !self.listed.contains(&i) && !was_struck {
            self.leave_out(i);
            heard.list_changed = true;
        }
        let mutual = self.is_told(i);
        let theirs_counts = !mutual || standing.serving && !serving;
        let peer = &mut self.peers[i];
        if lists_us {
            if theirs_counts && !peer.learned {
                peer.learned = true;
                let may_lack = has_own_copies || !self.rules.enforce(Rule::Once);
                peer.yields = may_lack && self.rules.enforce(Rule::LoseOutright);
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

    // --- The list -----------------------------------------------------------------------------

    /// On the list, decided or on disk, or about to be: such a peer is told so.
    pub(crate) fn is_told(&self, i: usize) -> bool {
        self.listed.contains(&i) || self.on_disk.contains(&i) || self.fencing.contains(&i)
    }

    pub(crate) fn is_listed(&self, i: usize) -> bool {
        self.listed.contains(&i)
    }

    /// On the list, and that counts: it is on disk.
    pub(crate) fn is_left_out(&self, i: usize) -> bool {
        let on_disk = self.on_disk.contains(&i) || !self.rules.enforce(Rule::ListOnDisk);
        self.listed.contains(&i) && on_disk
    }

    /// The peers that are not left out.
    pub(crate) fn peers_to_ask(&self) -> impl Iterator<Item = usize> {
        self.peers().filter(|i| !self.is_left_out(*i))
    }

    /// Any peer is being left out for another's sake.
    pub(crate) fn is_fencing(&self) -> bool {
        !self.fencing.is_empty()
    }

    /// Puts peer `i` on the list.
    pub(crate) fn leave_out(&mut self, i: usize) {
        self.listed.insert(i);
        self.note_gap(i);
    }

    /// From now on peer `i` may miss something.
    fn note_gap(&mut self, i: usize) {
        let peer = &mut self.peers[i];
        peer.gap += 1;
        peer.in_step = false;
        peer.knows = false;
    }

    /// Leaves out the peers that this catalog may leave out: it serves apart from them, is in step
    /// with them, and they cannot be leaving it out themselves. Returns whether the list changed.
    pub(crate) fn consider(&mut self, membership: &Membership, clock: impl Fn() -> Time) -> bool {
        let now = clock();
        let out: Vec<usize> = self
            .peers()
            .filter(|i| !self.listed.contains(i) && self.may_leave_out(*i, membership, now))
            .collect();
        let serves_apart = self.serving_without(&out, membership, now).is_ok()
            || !self.rules.enforce(Rule::ServingLeaves) && !membership.stalled(now);
        // This process may have been stopped since it looked.
        let was_stopped = self.timing.every < clock().since_max(now);
        if out.is_empty() || !serves_apart || was_stopped {
            return false;
        }
        for i in &out {
            self.leave_out(*i);
        }
        self.undecided.extend(out);
        self.decided = now;
        true
    }

    fn may_leave_out(&self, i: usize, membership: &Membership, now: Time) -> bool {
        let (peer, standing) = (&membership.peers[i], &self.peers[i]);
        let enforces = |rule| self.rules.enforce(rule);
        let in_step = standing.in_step || !enforces(Rule::InStepLeaves);
        let Some(answered) = standing.answered.filter(|_| !peer.live && in_step) else {
            return false;
        };
        let lease = self.timing.lease;
        let is_fresh = now.since_max(answered) < lease || !enforces(Rule::FreshRefusal);
        let refused = peer.refused_last() && is_fresh;
        let was_awake =
            self.awake_since.monotonic <= answered.monotonic || !enforces(Rule::OwnStall);
        let leases_over = membership.lease_left(peer, now).is_zero()
            && lease <= now.since_min(answered)
            || !enforces(Rule::LeaveAfterLease);
        refused || was_awake && leases_over
    }

    /// Begins to leave these out because another catalog does. They count once [`Self::fenced`].
    pub(crate) fn begin_fence(&mut self, peers: impl IntoIterator<Item = usize>) {
        for i in peers {
            if !self.listed.contains(&i) && self.fencing.insert(i) {
                self.note_gap(i);
            }
        }
    }

    /// Puts those on the list that know of it, have refused, or have no lease left.
    pub(crate) fn fenced(&mut self, membership: &Membership, now: Time) {
        let is_fenced = |i: &usize| {
            let peer = &membership.peers[*i];
            !self.rules.enforce(Rule::Fence)
                || self.peers[*i].knows
                || !peer.live && peer.refused_last()
                || membership.lease_left(peer, now).is_zero()
        };
        let fenced: Vec<usize> = self.fencing.iter().copied().filter(is_fenced).collect();
        for i in fenced {
            self.fencing.remove(&i);
            self.listed.insert(i);
        }
    }

    /// What is to be on disk; `None`: it is. A decision from before this process was stopped is
    /// taken back first: the peer may be serving now.
    pub(crate) fn unsaved(&mut self, now: Time) -> Option<(Record, BTreeSet<usize>)> {
        let is_overtaken = self.timing.stall < now.since_max(self.decided);
        if is_overtaken && self.rules.enforce(Rule::DecisionClock) {
            let undecided = std::mem::take(&mut self.undecided);
            self.listed.retain(|i| !undecided.contains(i));
        }
        if !self.needs_saving() {
            return None;
        }
        self.is_dirty = false;
        let peers = self.addresses.iter().cloned();
        let record = Record {
            starts: self.starts,
            whole: self.whole || self.becomes_whole,
            left_out: self.list(self.listed.iter().copied()),
            peers: peers
                .zip(self.peers.iter().map(|peer| peer.seen))
                .filter(|(_, seen)| seen.0 != 0)
                .collect(),
        };
        Some((record, self.listed.clone()))
    }

    pub(crate) fn needs_saving(&self) -> bool {
        self.listed != self.on_disk || self.is_dirty
    }

    /// This record, with this list, is on disk.
    pub(crate) fn saved(&mut self, record: &Record, list: BTreeSet<usize>) {
        self.undecided.retain(|i| !list.contains(i));
        self.on_disk = list;
        if record.whole && std::mem::take(&mut self.becomes_whole) {
            self.whole = true;
            self.is_renewed = true;
        }
    }

    /// The list could not be written: nothing was decided.
    pub(crate) fn not_saved(&mut self) {
        self.listed = self.on_disk.clone();
        self.undecided.clear();
        self.is_dirty = true;
    }

    /// The folder holds a whole shop once that is on disk.
    pub(crate) fn become_whole(&mut self) {
        self.becomes_whole = true;
        self.is_dirty = true;
    }

    /// A peer has seen more starts of this catalog: an older folder was put back, which is as good
    /// as a new one; or it is new. Returns whether it was whole until now.
    pub(crate) fn set_outdated(&mut self, seen_starts: u64) -> bool {
        self.starts = self.starts.max(seen_starts + STARTS_STEP);
        self.is_dirty = true;
        // The peer has not heard yet that this folder was renewed since.
        if self.is_renewed {
            return false;
        }
        self.becomes_whole = false;
        std::mem::replace(&mut self.whole, false)
    }

    // --- Coming back --------------------------------------------------------------------------

    pub(crate) fn lists_us(&self, i: usize) -> bool {
        self.is_whole(i) && self.says(i, |said| said.left_out.contains(&self.address))
    }

    /// Whether this is true of what peer `i` said last.
    pub(crate) fn says(&self, i: usize, is_true: impl Fn(&Standing) -> bool) -> bool {
        self.peers[i].said.as_ref().is_some_and(is_true)
    }

    /// Whether the folder of peer `i` is whole, and no older one that was put back.
    pub(crate) fn is_whole(&self, i: usize) -> bool {
        !self.peers[i].old_folder && self.says(i, |said| said.whole)
    }

    /// Whether the disk of peer `i` refuses writes.
    pub(crate) fn is_full(&self, i: usize) -> bool {
        self.says(i, |said| said.disk_refuses)
    }

    /// How often peer `i` had been started when an older folder was put back there.
    pub(crate) fn old_folder_of(&self, i: usize) -> Option<u64> {
        let peer = &self.peers[i];
        (peer.old_folder && peer.struck != peer.start()).then_some(peer.seen.0)
    }

    /// Of catalogs with new folders, one opens with the first stock, and the others come back to
    /// it: the one with the lowest address.
    pub(crate) fn opens_first(&self) -> bool {
        let waits_for = |i: &usize| !self.is_left_out(*i);
        let mut others = self.peers().filter(waits_for);
        others.all(|i| self.address < self.addresses[i])
    }

    /// All peers have new folders: they have all to take over.
    pub(crate) fn leave_out_all(&mut self) {
        for i in self.peers() {
            if !self.listed.contains(&i) {
                self.leave_out(i);
            }
        }
    }

    /// Whether every peer is live with a new folder and the same first stock, or is not waited for.
    pub(crate) fn all_are_new(&self, membership: &Membership) -> bool {
        let is_new = |i: usize| {
            let same = |said: &Standing| !said.whole && said.first_stock == self.first_stock;
            membership.peers[i].live && self.says(i, same)
        };
        let waits = self.rules.enforce(Rule::FirstStock);
        self.peers()
            .all(|i| is_new(i) || self.is_left_out(i) || !waits)
    }

    pub(crate) fn is_in_step(&self, i: usize) -> bool {
        self.peers[i].in_step
    }

    pub(crate) fn start_of(&self, i: usize) -> Option<u64> {
        self.peers[i].start()
    }

    /// Caught up with peer `i`, in this start of it, unless one of the two lists the other now.
    pub(crate) fn set_in_step(&mut self, i: usize, start: u64) {
        let lists = self.lists_us(i) || self.is_told(i);
        let peer = &mut self.peers[i];
        peer.in_step = peer.start() == Some(start) && !lists;
    }

    /// Whether copies may have changed here while peer `i` was left out of which nobody remembers
    /// it.
    pub(crate) fn is_unrecorded(&self, i: usize) -> bool {
        self.peers[i].unrecorded
    }

    /// From now on nobody remembers what changed here before while peer `i` was left out.
    pub(crate) fn note_unrecorded(&mut self, i: usize) {
        self.peers[i].unrecorded = true;
    }

    /// Nothing is left here that peer `i` may lack.
    pub(crate) fn forget_unrecorded(&mut self, i: usize) {
        self.peers[i].unrecorded = false;
    }

    pub(crate) fn yields_to(&self, i: usize) -> bool {
        self.peers[i].yields
    }

    /// Everything was taken over from a catalog that serves: no copy is this catalog's own.
    pub(crate) fn taken_over(&mut self) {
        for peer in &mut self.peers {
            peer.yields = false;
        }
    }

    /// Takes over the list of a catalog that lists this one, without this one.
    pub(crate) fn adopt_list(&mut self, list: &BTreeSet<Address>) {
        if !self.rules.enforce(Rule::AdoptList) {
            return;
        }
        let new: BTreeSet<usize> = self.peers_on(list).collect();
        let before = std::mem::replace(&mut self.listed, new.clone());
        for i in new.difference(&before) {
            self.note_gap(*i);
        }
        self.undecided.clear();
        let former = former_peers(list, &self.address, &self.addresses);
        self.is_dirty |= former != self.former;
        self.former = former;
    }

    /// The list of these peers and of those that are not in the settings.
    fn list(&self, peers: impl IntoIterator<Item = usize>) -> BTreeSet<Address> {
        &self.addresses(peers) | &self.former
    }

    /// The peers on this list; this catalog itself does not count.
    fn peers_on(&self, list: &BTreeSet<Address>) -> impl Iterator<Item = usize> {
        self.peers().filter(|i| list.contains(&self.addresses[*i]))
    }

    /// The peers on this list that are not on this catalog's.
    pub(crate) fn lacking_of(&self, list: &BTreeSet<Address>) -> Vec<usize> {
        let lacking = |i: &usize| !self.listed.contains(i);
        self.peers_on(list).filter(lacking).collect()
    }

    /// Whether all these peers are on the list on disk.
    pub(crate) fn has_on_disk(&self, list: &BTreeSet<Address>) -> bool {
        self.peers_on(list).all(|i| self.on_disk.contains(&i))
    }

    /// Peer `i` has all that is here, and this list: it is struck off, unless the list here is just
    /// changing. Returns whether it was.
    pub(crate) fn strike(&mut self, i: usize, list: &BTreeSet<Address>) -> bool {
        let others = || self.peers().filter(|other| *other != i);
        let ours: BTreeSet<usize> = others().filter(|other| self.is_told(*other)).collect();
        // Each of the two may name catalogs that the other does not know.
        let theirs: BTreeSet<usize> = self.peers_on(list).collect();
        // Another one that is being struck off now will have a list with this one on it.
        let is_settled = others().all(|other| self.is_told(other) == self.listed.contains(&other))
            || !self.rules.enforce(Rule::StrikeOneByOne);
        let same = theirs == ours || !self.rules.enforce(Rule::StrikeEqualList);
        let is_counted = !self.peers[i].old_folder;
        let is_listed = self.listed.contains(&i) && !self.fencing.contains(&i);
        let equal = is_listed && same && is_counted && is_settled;
        if equal {
            self.listed.remove(&i);
            let peer = &mut self.peers[i];
            peer.struck = peer.start();
            peer.in_step = true;
        }
        equal
    }

    /// Two sides of a cut are equal again.
    pub(crate) fn forgive(&mut self, i: usize) {
        self.listed.remove(&i);
        self.note_gap(i);
    }

    /// After a cut the lists may form a circle, in which each waits for another. When all catalogs
    /// have been in contact for a while, each is on a list, and none of them serves, each forgives
    /// all: then the better copy of each book wins. Returns whether this one does so now.
    ///
    /// Catalogs that were stopped do not serve for a moment either. That is no circle: what one of
    /// them wrote without another must not be lost to a better copy that was never acknowledged.
    pub(crate) fn forgive_circle(&mut self, membership: &Membership, now: Time) -> bool {
        let is_idle = |i: usize| {
            membership.peers[i].live && self.is_whole(i) && self.says(i, |said| !said.serving)
        };
        let is_stuck = self.rules.enforce(Rule::Circle)
            && self.ready
            && self.whole
            && !membership.stalled(now)
            && self.peers().all(is_idle)
            && self.all_are_listed()
            && self.serving(membership, now).is_err();
        if !is_stuck {
            self.stuck_since = None;
            return false;
        }
        let since = *self.stuck_since.get_or_insert(now);
        if now.since_min(since) < self.timing.lease * STUCK_LEASES {
            return false;
        }
        self.stuck_since = None;
        for i in std::mem::take(&mut self.listed) {
            self.note_gap(i);
        }
        for peer in &mut self.peers {
            peer.unrecorded = true;
        }
        self.fencing.clear();
        self.undecided.clear();
        self.taken_over();
        self.is_dirty = true;
        true
    }

    /// Each catalog is on the list of another one, as far as this one knows.
    fn all_are_listed(&self) -> bool {
        let is_listed = |i: usize| {
            let lists_it = |said: &Standing| said.left_out.contains(&self.addresses[i]);
            self.is_told(i) || self.peers().any(|other| self.says(other, lists_it))
        };
        self.peers().any(|i| self.lists_us(i)) && self.peers().all(is_listed)
    }

    pub(crate) fn gap(&self, i: usize) -> u64 {
        self.peers[i].gap
    }

    pub(crate) fn addresses(&self, peers: impl IntoIterator<Item = usize>) -> BTreeSet<Address> {
        peers
            .into_iter()
            .map(|i| self.addresses[i].clone())
            .collect()
    }

    /// The list on disk.
    pub(crate) fn list_on_disk(&self) -> BTreeSet<Address> {
        self.list(self.on_disk.iter().copied())
    }

    pub(crate) fn peers(&self) -> std::ops::Range<usize> {
        0..self.peers.len()
    }

    // --- Serving ------------------------------------------------------------------------------

    /// Some peer's copies count more than this catalog's own.
    pub(crate) fn must_yield(&self) -> bool {
        self.peers.iter().any(|peer| peer.yields)
    }

    /// Caught up with it, and it answered lately that it does not list this catalog.
    fn is_in_contact(&self, i: usize, now: Time) -> bool {
        let fresh = |sent: Time| now.since_max(sent) < self.timing.lease;
        let peer = &self.peers[i];
        !self.listed.contains(&i) && peer.in_step && peer.answered.is_some_and(fresh)
    }

    /// Whether reads, writes and claims may be answered.
    ///
    /// Fails with the reason.
    pub(crate) fn serving(&self, membership: &Membership, now: Time) -> Result<(), NotServing> {
        self.serving_without(&[], membership, now)
    }

    /// As [`Self::serving`], if these peers were on the list.
    fn serving_without(
        &self,
        out: &[usize],
        membership: &Membership,
        now: Time,
    ) -> Result<(), NotServing> {
        if membership.stalled(now) {
            return Err(NotServing::Stalled);
        }
        if !self.ready {
            return Err(NotServing::Starting);
        }
        let is_apart = |i: usize| out.contains(&i) || self.is_left_out(i);
        let is_fine =
            |i: usize| !self.peers[i].yields && (is_apart(i) || self.is_in_contact(i, now));
        if let Some(i) = self.peers().find(|i| !is_fine(*i)) {
            return Err(NotServing::WaitsFor(i));
        }
        self.whole.then_some(()).ok_or(NotServing::Empty)
    }

    /// Another peer than `i` does.
    pub(crate) fn must_yield_to_other(&self, i: usize) -> bool {
        self.peers().any(|other| {
            other != i && self.peers[other].yields && self.rules.enforce(Rule::YieldFirst)
        })
    }
}
