//! Signals, of which std has only SIGKILL.
//!
//! A crate for two calls would be a sixth. So this is the one place that declares functions of C,
//! and the only `unsafe` of the crate; std links the C library anyway. A handler only sets a flag,
//! which is all that one may do.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A signal that is sent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Asks it to end.
    Terminate,
    /// Stops it: it keeps its connections, and does nothing.
    Stop,
    /// Lets it go on after [`Signal::Stop`].
    Continue,
    /// Ends it at once.
    Kill,
}

const HANGUP: i32 = 1;
const INTERRUPT: i32 = 2;
const TERMINATE: i32 = 15;

/// What [`signal`] returns for a signal that is ignored.
const IGNORED: usize = 1;

/// Whether this process was asked to end, by a signal or otherwise.
pub(crate) static END_REQUESTED: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
    safe fn kill(process: i32, number: i32) -> i32;
}

impl Signal {
    /// As the `kill` command names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Signal::Terminate => "TERM",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
            Signal::Kill => "KILL",
        }
    }

    /// Linux numbers two of them its own way.
    fn number(self) -> i32 {
        let linux = cfg!(target_os = "linux");
        match self {
            Signal::Terminate => TERMINATE,
            Signal::Kill => 9,
            Signal::Stop if linux => 19,
            Signal::Stop => 17,
            Signal::Continue if linux => 18,
            Signal::Continue => 19,
        }
    }

    /// Sends this signal to a process that has not been waited for, so that its id is not
    /// another's.
    ///
    /// Fails when there is no such process.
    pub(crate) fn send(self, process: u32) -> io::Result<()> {
        let process = i32::try_from(process).expect("ids of processes are small");
        if kill(process, self.number()) == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

/// From now on SIGTERM does not end this process: [`END_REQUESTED`] tells of it.
pub(crate) fn catch_terminate() {
    catch(TERMINATE);
}

/// From now on Ctrl-C, SIGTERM and SIGHUP do not end this process: [`END_REQUESTED`] tells of them.
/// Those that the parent had ignored, as `nohup` does, stay ignored.
pub(crate) fn catch_end() {
    catch_terminate();
    for number in [HANGUP, INTERRUPT] {
        if catch(number) == IGNORED {
            // SAFETY: to ignore a signal runs nothing.
            unsafe { signal(number, IGNORED) };
        }
    }
}

/// Returns what was done on this signal before.
fn catch(number: i32) -> usize {
    // SAFETY: the handler only stores to an atomic, which is safe at any moment.
    unsafe { signal(number, on_end as extern "C" fn(i32) as usize) }
}

extern "C" fn on_end(_: i32) {
    request_end();
}

/// As if a signal had asked for it.
pub(crate) fn request_end() {
    END_REQUESTED.store(true, Relaxed);
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_signal_ends_the_process_that_it_is_sent_to() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        for signal in [Signal::Stop, Signal::Continue, Signal::Terminate] {
            signal.send(child.id()).unwrap();
        }
        assert_eq!(child.wait().unwrap().signal(), Some(TERMINATE));
    }
}
