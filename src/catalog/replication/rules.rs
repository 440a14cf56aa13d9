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
    /// An order is applied once.
    Idempotency,
    /// Front-ends invalidate before a copy becomes valid.
    Invalidate,
    /// An update that arrives twice is acknowledged only once it is on disk.
    AckOnceOnDisk,
    /// A change that serves no order has an id of its own.
    WriteId,
    /// A writer whose copy was superseded looks whether its own write was committed.
    OwnWrite,
    /// Tentative copies that no writer confirms are repaired in the background.
    Repair,
}

/// Which rules are enforced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    left_out: u32,
}

impl Rules {
    pub(crate) fn all() -> Rules {
        Rules { left_out: 0 }
    }

    #[cfg(test)]
    pub(crate) fn without(self, rule: Rule) -> Rules {
        let left_out = self.left_out | 1 << rule as u32;
        Rules { left_out }
    }

    pub(super) fn enforce(self, rule: Rule) -> bool {
        !cfg!(test) || self.left_out & 1 << rule as u32 == 0
    }
}
