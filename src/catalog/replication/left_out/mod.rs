//! The left-out list: which peers may lack something that this catalog holds, and what follows.
//!
//! A catalog that goes on without a peer writes that down first. So, after any order of crashes,
//! each catalog can tell whether it may have missed something: it has, when a peer lists it, and
//! it may have, while a peer that it does not list has not answered. The idea is Skeen's
//! ("Determining the last process to fail", TOCS 1985). `PROTOCOL.md` has the rules; these files
//! are those about lists, without threads, network, disk or clock: the caller brings all of them.
//!
//! Peers are numbered as in the settings, here and in [`Membership`].
//!
//! `standing` is what catalogs say of themselves; `leaving_out` and `coming_back` are the ways
//! of a peer onto the list and off it; `serving` is whether this catalog may answer; `folders` and
//! `circle` are the two cases in which otherwise nobody could.

mod circle;
mod coming_back;
mod folders;
mod leaving_out;
mod serving;
mod standing;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::catalog::replication::Config;
use crate::catalog::replication::rules::{Rule, Rules};
use crate::config::timing::Timing;
use crate::membership::time::Time;
use crate::model::address::Address;

pub(crate) use serving::NotServing;
pub(crate) use standing::{Asked, NotSaved, Record, Standing, Token};

/// Where one peer stands with this catalog.
#[derive(Debug, Default)]
struct PeerStanding {
    /// Caught up with it since this start, or since this catalog was last on its list.
    in_step: bool,
    /// As [`Record::peers`].
    seen: (u64, u64),
    /// The last start that was seen before the present one.
    seen_before: Option<(u64, u64)>,
    /// This catalog has all that it had before its present start.
    had_all: bool,
    /// An old folder was put back there: it counts as an empty one.
    old_folder: bool,
    /// Of its last answer to a heartbeat.
    token: Option<Token>,
    /// It has said that it knows that it is on this catalog's list.
    knows: bool,
    /// It said last, in whatever start, that this catalog is on its list.
    lists_us: bool,
    /// The last of this catalog's periods that it knows of, or does not run to know.
    told_period: u64,
    /// This catalog has learned that it is on this peer's list.
    learned: bool,
    /// This catalog's own copies lose outright to those of this peer.
    yields: bool,
    /// How often it was left out; part of the token.
    gap: u64,
    /// What [`LeftOut::losses`] was when all that it has began to be compared, the last time in this
    /// start.
    compared: Option<u64>,
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

/// One catalog's list, and its standing with each peer. Plain state: the owner keeps it under its
/// lock.
#[derive(Debug)]
pub(crate) struct LeftOut {
    address: Address,
    timing: Timing,
    rules: Rules,
    pub(crate) start: u64,
    starts: u64,
    /// As [`Record::past_starts`].
    past_starts: BTreeMap<u64, u64>,
    /// As [`Standing::period`].
    period: u64,
    /// When it began.
    period_since: Time,
    /// An update or claim was accepted in it.
    has_accepted: bool,
    /// How many copies here have lost outright to worse ones in this start.
    losses: u64,
    /// The first heartbeats after the start have ended.
    pub(crate) ready: bool,
    pub(crate) whole: bool,
    /// The folder is whole once that is on disk.
    becomes_whole: bool,
    /// Since this start began it took everything over from a catalog that serves.
    is_renewed: bool,
    /// Decided. Counts once it is on disk, too.
    listed: BTreeSet<usize>,
    on_disk: BTreeSet<usize>,
    /// On its way to the disk.
    saving: Option<BTreeSet<usize>>,
    /// On any list that the disk may have.
    may_be_on_disk: BTreeSet<usize>,
    /// On the list, but not in the settings: catalogs that left the shop. Others may still name
    /// them.
    former: BTreeSet<Address>,
    /// About to be left out, since when, and not yet sure to know.
    fencing: BTreeMap<usize, Time>,
    said: Option<Standing>,
    peers: Vec<PeerStanding>,
    /// When this process was last found to have been stopped.
    pub(crate) awake_since: Time,
    /// Since when no catalog serves, although all are in contact.
    stuck_since: Option<Time>,
    /// Since when others wait for each other, although this one serves.
    others_stuck_since: Option<Time>,
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
        // The list of a folder that is not whole counts for nobody.
        let counts = record.whole || !config.rules.enforce(Rule::NewFolderList);
        let is_listed = |i: &usize| counts && record.left_out.contains(&addresses[*i]);
        let listed: BTreeSet<usize> = (0..addresses.len()).filter(is_listed).collect();
        let peer = |address: &Address| PeerStanding {
            seen: record.peers.get(address).copied().unwrap_or_default(),
            unrecorded: record.left_out.contains(address),
            lists_us: record.listed_by.contains(address),
            ..PeerStanding::default()
        };
        LeftOut {
            address: config.address.clone(),
            timing: config.timing,
            rules: config.rules,
            start,
            starts: record.starts,
            past_starts: record.past_starts.clone(),
            period: 0,
            period_since: now,
            has_accepted: false,
            losses: 0,
            ready: false,
            whole: record.whole,
            becomes_whole: false,
            is_renewed: false,
            on_disk: listed.clone(),
            saving: None,
            may_be_on_disk: listed.clone(),
            listed,
            former: former_peers(&record.left_out, &config.address, &config.peers),
            fencing: BTreeMap::new(),
            said: None,
            peers: addresses.iter().map(peer).collect(),
            awake_since: now,
            stuck_since: None,
            others_stuck_since: None,
            is_dirty: false,
            first_stock: None,
            addresses,
        }
    }

    pub(crate) fn peers(&self) -> Range<usize> {
        0..self.peers.len()
    }

    pub(crate) fn addresses(&self, peers: impl IntoIterator<Item = usize>) -> BTreeSet<Address> {
        peers
            .into_iter()
            .map(|i| self.addresses[i].clone())
            .collect()
    }

    /// The list of these peers and of those that are not in the settings.
    fn list(&self, peers: impl IntoIterator<Item = usize>) -> BTreeSet<Address> {
        &self.addresses(peers) | &self.former
    }

    /// The peers on this list; this catalog itself does not count.
    fn peers_on(&self, list: &BTreeSet<Address>) -> impl Iterator<Item = usize> {
        self.peers().filter(|i| list.contains(&self.addresses[*i]))
    }

    /// The list on disk.
    pub(crate) fn list_on_disk(&self) -> BTreeSet<Address> {
        self.list(self.on_disk.iter().copied())
    }

    /// On the list on disk, and on the one that may take its place at any moment.
    fn is_on_disk(&self, i: usize) -> bool {
        let stays = self.saving.as_ref().is_none_or(|list| list.contains(&i));
        self.on_disk.contains(&i) && stays
    }

    pub(crate) fn is_listed(&self, i: usize) -> bool {
        self.listed.contains(&i)
    }

    /// On the list that is decided, or on any that the disk has, may have or is about to have, or
    /// about to be left out: such a peer is told so.
    pub(crate) fn is_told(&self, i: usize) -> bool {
        let is_written = self.saving.as_ref().is_some_and(|list| list.contains(&i));
        let may_be_on_disk = is_written || self.may_be_on_disk.contains(&i);
        self.listed.contains(&i)
            || self.on_disk.contains(&i)
            || self.fencing.contains_key(&i)
            || may_be_on_disk && self.rules.enforce(Rule::ToldUntilSaved)
    }

    /// On the list, and that counts: it is on disk.
    pub(crate) fn is_left_out(&self, i: usize) -> bool {
        let on_disk = self.is_on_disk(i) || !self.rules.enforce(Rule::ListOnDisk);
        self.listed.contains(&i) && on_disk
    }

    /// The peers that are not left out.
    pub(crate) fn peers_to_ask(&self) -> impl Iterator<Item = usize> {
        self.peers().filter(|i| !self.is_left_out(*i))
    }

    pub(crate) fn start_of(&self, i: usize) -> Option<u64> {
        self.peers[i].start()
    }

    /// The start number of peer `i`, and the period in which it acknowledges.
    pub(crate) fn period_of(&self, i: usize) -> Option<(u64, u64)> {
        let said = self.peers[i].said.as_ref()?;
        Some((said.start, said.period))
    }

    /// Whether this is true of what peer `i` said last.
    pub(crate) fn says(&self, i: usize, is_true: impl Fn(&Standing) -> bool) -> bool {
        self.peers[i].said.as_ref().is_some_and(is_true)
    }

    pub(crate) fn gap(&self, i: usize) -> u64 {
        self.peers[i].gap
    }

    /// From now on peer `i` may miss something.
    fn note_gap(&mut self, i: usize) {
        let peer = &mut self.peers[i];
        peer.gap += 1;
        peer.in_step = false;
        peer.knows = false;
    }
}
