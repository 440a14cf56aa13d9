//! How a server ends, as the one who started it hears it: by the exit code.

use std::fmt;

/// Why a server does not run, or runs no longer.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// 2: settings or data are wrong. Started again it would end again.
    Told(String),
    /// 1: something failed, such as a port that is in use. Started again it may run.
    Failed(String),
    /// 70: it can no longer serve well, and must be started again.
    WornOut(String),
}

impl Ending {
    pub fn exit_code(&self) -> u8 {
        match self {
            Ending::Told(_) => 2,
            Ending::Failed(_) => 1,
            Ending::WornOut(_) => 70,
        }
    }
}

/// What is only a text is a failure that may pass.
impl From<String> for Ending {
    fn from(message: String) -> Ending {
        Ending::Failed(message)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Ending::Told(message) | Ending::Failed(message) | Ending::WornOut(message)) = self;
        f.write_str(message)
    }
}
