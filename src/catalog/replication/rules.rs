//! The rules of the protocol that a test may leave out, to see that they are missed. Outside tests
//! every rule is enforced.

/// One rule of `PROTOCOL.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A copy is tentative until its writer confirms it.
    Confirm,
    /// A catalog answers only while it serves.
    Lease,
    /// Of two copies of one sequence number the higher stamp wins.
    Tie,
    /// An update is applied only to a version that `If-Match` names.
    IfMatch,
    /// An update without a version is applied only if no copies came in since.
    NotRestocked,
    /// An order is applied once.
    Idempotency,
    /// A book's record has the last clients' keys.
    RecordKeys,
    /// A key is looked for in the ledger, and in what is on its way there.
    LedgerKeys,
    /// A key that is used for another book is refused at any catalog.
    KeysInUse,
    /// An order that a book may have forgotten is refused.
    ForgottenOrders,
    /// Front-ends invalidate before a copy becomes valid.
    Invalidate,
    /// An update that arrives twice is acknowledged only once it is on disk.
    AckOnceOnDisk,
    /// A change that serves no order has an id of its own.
    WriteId,
    /// An added book that was changed keeps the stamp of its first version.
    Created,
    /// A writer whose copy was superseded looks whether its own write was committed.
    OwnWrite,
    /// A book's record forgets an entry only once it is in the ledger on disk.
    LedgerFirst,
    /// A change that is acknowledged without a peer is in the ledger on disk before.
    LedgerAlone,
    /// What a copy has forgotten is in the ledger's files before the copy is on disk.
    LedgerDue,
    /// Whoever comes back, or starts, has the peer's ledger on disk before the two are in step.
    LedgerBack,
    /// Tentative copies that no writer confirms are repaired in the background.
    Repair,

    // "The left-out list", in the order of `PROTOCOL.md`.
    /// An update and a request to be struck off show a fresh token of the receiver.
    Token,
    /// Of two standings of one start the older one is ignored.
    StandingOrder,
    /// A message of an earlier start is ignored.
    OlderStart,
    /// Only a catalog that serves leaves a peer out.
    ServingLeaves,
    /// Only a peer that is in step is left out.
    InStepLeaves,
    /// A refusal counts if the peer answered less than a lease ago.
    FreshRefusal,
    /// A refusal counts if nothing was heard of the peer since.
    OldRefusal,
    /// A silent peer is left out once both leases are over.
    LeaveAfterLease,
    /// A catalog that was stopped itself does not count its peers' silence.
    OwnStall,
    /// The list counts once it is on disk.
    ListOnDisk,
    /// Who is on a list that the disk may have, or is about to have, is told so until one is saved.
    ToldUntilSaved,
    /// A peer is left out for another catalog's sake once it knows, has refused, or has no lease.
    Fence,
    /// An acknowledgement is of the peer's present start.
    PresentStart,
    /// It is of the peer's present period.
    PresentPeriod,
    /// Whoever acknowledges has on its list those that the write goes without.
    SendList,
    /// A round goes on when its writer leaves out more.
    Regrow,
    /// An update names those that it goes without, not the whole list.
    WithoutOnly,
    /// An update of a peer that is on the list is refused.
    ListedRefused,
    /// A catalog that must take over from one peer acknowledges nothing of another.
    YieldFirst,
    /// A catalog that may have forgotten a write looks for it at all others before it acknowledges.
    ForgottenFirst,
    /// What a peer answers counts only while it stands as it did when it was asked.
    PresentAnswers,
    /// Copies of a catalog that was left out lose outright.
    LoseOutright,
    /// They lose outright each time that it begins to come back.
    OutrightAgain,
    /// Nothing is lost before all peers know of the new period.
    PeriodKnown,
    /// They lose only to those of a catalog that serves.
    FromServing,
    /// A copy that was taken over, or came in an update since, loses no more.
    TakenStays,
    /// Whoever comes back takes over the peer's list.
    AdoptList,
    /// Whoever has taken over has all front-ends forget everything.
    InvalidateBack,
    /// A peer is struck off when it has all that it was owed.
    StrikeOwed,
    /// So it is when all that it lacks are writes of this catalog that nobody acknowledged yet.
    StrikeOwn,
    /// But for those that were made on top of what was acknowledged without it.
    StrikeEarlier,
    /// A peer is struck off when its list is equal.
    StrikeEqualList,
    /// No peer is struck off while another one's strike-off is on its way to the disk.
    StrikeOneByOne,
    /// Who lists a peer that lists it, too, acknowledges nothing.
    SplitWaits,
    /// It remembers on disk that the peer lists it.
    SplitOnDisk,
    /// Catalogs that wait for each other in a circle forgive each other.
    Circle,
    /// One that serves leaves such catalogs out, and they come back to it.
    LeaveCircle,
    /// A catalog with a new folder is left out at once.
    NewFolderLeftOut,
    /// But not by one that may lack what was there before.
    NewFolderWaits,
    /// The list of a folder that is not whole is ignored.
    NewFolderList,
    /// The first stock is used only when all folders are new and have the same one.
    FirstStock,
    /// Of several catalogs with new folders one opens, and the others come back to it.
    OneOpens,
    /// A count of starts that does not grow is an old folder.
    CountStarts,
}

#[cfg(test)]
impl Rule {
    pub(crate) const ALL: [Rule; 63] = [
        Rule::Confirm,
        Rule::Lease,
        Rule::Tie,
        Rule::IfMatch,
        Rule::NotRestocked,
        Rule::Idempotency,
        Rule::RecordKeys,
        Rule::LedgerKeys,
        Rule::KeysInUse,
        Rule::ForgottenOrders,
        Rule::Invalidate,
        Rule::AckOnceOnDisk,
        Rule::WriteId,
        Rule::Created,
        Rule::OwnWrite,
        Rule::LedgerFirst,
        Rule::LedgerAlone,
        Rule::LedgerDue,
        Rule::LedgerBack,
        Rule::Repair,
        Rule::Token,
        Rule::StandingOrder,
        Rule::OlderStart,
        Rule::ServingLeaves,
        Rule::InStepLeaves,
        Rule::FreshRefusal,
        Rule::OldRefusal,
        Rule::LeaveAfterLease,
        Rule::OwnStall,
        Rule::ListOnDisk,
        Rule::ToldUntilSaved,
        Rule::Fence,
        Rule::PresentStart,
        Rule::PresentPeriod,
        Rule::SendList,
        Rule::Regrow,
        Rule::WithoutOnly,
        Rule::ListedRefused,
        Rule::YieldFirst,
        Rule::ForgottenFirst,
        Rule::PresentAnswers,
        Rule::LoseOutright,
        Rule::OutrightAgain,
        Rule::PeriodKnown,
        Rule::FromServing,
        Rule::TakenStays,
        Rule::AdoptList,
        Rule::InvalidateBack,
        Rule::StrikeOwed,
        Rule::StrikeOwn,
        Rule::StrikeEarlier,
        Rule::StrikeEqualList,
        Rule::StrikeOneByOne,
        Rule::SplitWaits,
        Rule::SplitOnDisk,
        Rule::Circle,
        Rule::LeaveCircle,
        Rule::NewFolderLeftOut,
        Rule::NewFolderWaits,
        Rule::NewFolderList,
        Rule::FirstStock,
        Rule::OneOpens,
        Rule::CountStarts,
    ];
}

/// Which rules are enforced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    left_out: u64,
}

impl Rules {
    pub(crate) fn all() -> Rules {
        Rules { left_out: 0 }
    }

    #[cfg(test)]
    pub(crate) fn without(self, rule: Rule) -> Rules {
        let left_out = self.left_out | 1 << rule as u64;
        Rules { left_out }
    }

    pub(super) fn enforce(self, rule: Rule) -> bool {
        !cfg!(test) || self.left_out & 1 << rule as u64 == 0
    }
}
