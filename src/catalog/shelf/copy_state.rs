//! What a catalog knows of its copy of a book.

use serde::{Deserialize, Serialize};

use crate::model::book::{BookId, Version};

/// What a catalog knows of its copy of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CopyState {
    /// On the valid list: the newest copy. Reads are answered from it.
    Valid,
    /// A write of it is in progress and may or may not become committed.
    Tentative,
    /// Nothing is known of it, as after a start or after contact with a peer was lost.
    Unknown,
}

impl CopyState {
    pub(crate) fn word(self) -> &'static str {
        match self {
            CopyState::Valid => "valid",
            CopyState::Tentative => "tentative",
            CopyState::Unknown => "unknown",
        }
    }
}

/// How many copies are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct StateCounts {
    pub(crate) valid: usize,
    pub(crate) tentative: usize,
    pub(crate) unknown: usize,
}

impl StateCounts {
    pub(super) fn of(&mut self, state: CopyState) -> &mut usize {
        match state {
            CopyState::Valid => &mut self.valid,
            CopyState::Tentative => &mut self.tentative,
            CopyState::Unknown => &mut self.unknown,
        }
    }
}

/// One copy as a page of a catch-up lists it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PageEntry(pub(crate) BookId, pub(crate) Version, pub(crate) CopyState);
