//! How a server ends, as the one who started it hears it: by the exit code.

use std::fmt;

/// Why a server does not run, or runs no longer.
#[derive(Clone, Debug, PartialEq)]
pub enum Exit {
    /// 2: settings or data are wrong. Started again it would end again.
    Misconfigured(String),
    /// 1: something failed, such as a port that is in use. Started again it may run.
    Failed(String),
    /// 70: it can no longer serve well, and must be started again.
    Degraded(String),
}

impl Exit {
    pub fn exit_code(&self) -> u8 {
        match self {
            Exit::Misconfigured(_) => 2,
            Exit::Failed(_) => 1,
            Exit::Degraded(_) => 70,
        }
    }
}

/// What is only a text is a failure that may pass.
impl From<String> for Exit {
    fn from(message: String) -> Exit {
        Exit::Failed(message)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Exit::Misconfigured(message) | Exit::Failed(message) | Exit::Degraded(message)) = self;
        f.write_str(message)
    }
}
