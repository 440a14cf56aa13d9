//! Why a process exits, and its exit code.

use std::fmt;

/// Why a command ends before its work is done. The message says what was tried and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Exit {
    /// 2: settings or data are wrong. A restart would end the same way.
    Misconfigured(String),
    /// 1: something failed, such as a port that is in use. A restart may help.
    Failed(String),
    /// 70: the server cannot serve well any longer, and a restart helps.
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

/// A message alone is a failure that may pass.
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
