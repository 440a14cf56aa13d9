//! The rules of the protocol that a test may leave out, to see that it is missed. Outside tests all
//! hold, always.

/// One rule of REPLICATION.md; `replication_model.py` has the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A copy is tentative until its writer confirms it.
    Confirm,
    /// A copy is trusted only while every live peer has lately answered heartbeat.
    Lease,
    /// Of two copies of one number the higher stamp wins.
    Tie,
    /// A version that came true stays better than one that did not.
    Committed,
    /// An update is applied only to the version that `If-Match` names.
    IfMatch,
    /// An order is applied once.
    Idempotency,
    /// Front-ends forget before a copy becomes valid.
    Invalidate,
    /// An update goes to all who have not refused, live or not.
    UpdateAll,
    /// An update that came before is acknowledged only once it is on disk.
    AckOnceOnDisk,
    /// Whoever may have missed something empties its valid list.
    Clear,
    /// A process that stalled trusts nothing and leaves nobody out.
    Stall,
    /// A writer whose copy was replaced looks whether its own write came true.
    OwnWrite,
    /// Check compares by "better".
    CheckRank,
    /// Tentative copies that nobody confirms are settled in the background.
    Repair,
}

/// Which rules hold.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    #[cfg(test)]
    left_out: u32,
}

impl Rules {
    pub fn all() -> Rules {
        Rules {
            #[cfg(test)]
            left_out: 0,
        }
    }

    #[cfg(test)]
    pub fn without(self, rule: Rule) -> Rules {
        Rules {
            left_out: self.left_out | 1 << rule as u32,
        }
    }

    #[cfg(test)]
    pub fn hold(&self, rule: Rule) -> bool {
        self.left_out & 1 << rule as u32 == 0
    }

    #[cfg(not(test))]
    pub fn hold(&self, _: Rule) -> bool {
        true
    }
}
