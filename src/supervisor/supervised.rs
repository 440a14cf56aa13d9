//! One server of the shop: it is started, and started again when it ends.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::runtime::signals::Signal;
use crate::runtime::sync::lock;
use crate::supervisor::process::{Output, Process, Spec};
use crate::supervisor::server_log::ServerLog;
use crate::supervisor::topology::Member;

/// A server that lived this long was healthy: its next end is the first again.
const HEALTHY: Duration = Duration::from_secs(10);

/// The second start in a row waits this long, and each further one twice as long.
const PAUSE: Duration = Duration::from_millis(400);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The exit code of a server whose settings or data are wrong.
const MISCONFIGURED: i32 = 2;

#[derive(Debug)]
pub(crate) struct Supervised {
    pub(crate) member: Member,
    pub(crate) process: Process,
    pub(crate) log: Arc<ServerLog>,
    fate: Mutex<Fate>,
}

/// What becomes of it. Locked for a look or a change.
#[derive(Debug, Default)]
struct Fate {
    started: Option<Instant>,
    /// Ends in a row without a healthy time between them.
    failures: u32,
    /// When it is started. `None`: it runs, or stays down.
    due: Option<Instant>,
    /// How it last ended.
    end: Option<String>,
    /// More arguments, for the next start.
    first_args: Vec<String>,
}

/// How a server ended, and what follows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct End {
    /// Such as `exit code 1`, `signal 9`.
    pub(crate) how: String,
    pub(crate) next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Next {
    /// It is started again after this pause.
    Again(Duration),
    /// It would end the same way: its settings or its data are wrong.
    Never,
    /// Restarting is off.
    Off,
}

impl Supervised {
    /// A server that starts at the next look, the first time with `first_args`, too. Its log is shown
    /// under its name.
    pub(crate) fn new(
        member: Member,
        args: Vec<String>,
        first_args: Vec<String>,
        settings: Vec<(&'static str, String)>,
    ) -> Supervised {
        let log = Arc::new(ServerLog::new(&member.name));
        let spec = Spec {
            name: member.name.clone(),
            program: None,
            args,
            environment: [settings, vec![("NAME", member.name.clone())]].concat(),
            inherits: true,
        };
        Supervised {
            process: Process::new(spec, Output::Shown(log.clone())),
            member,
            log,
            fate: Mutex::new(Fate {
                due: Some(Instant::now()),
                first_args,
                ..Fate::default()
            }),
        }
    }

    /// Starts it if that is due.
    ///
    /// Fails when the system starts no process; that is tried again.
    pub(crate) fn start_if_due(&self, now: Instant) -> Result<(), String> {
        let mut fate = lock(&self.fate);
        if fate.due.is_none_or(|due| now < due) {
            return Ok(());
        }
        fate.due = Some(now + PAUSE);
        self.process.launch_with(&fate.first_args)?;
        fate.first_args.clear();
        fate.due = None;
        fate.started = Some(now);
        Ok(())
    }

    /// How it has ended since the last look, if it has.
    pub(crate) fn ended(&self, now: Instant, restarting: bool) -> Option<End> {
        let status = self.process.ended()?;
        self.process.finish_output();
        let end = lock(&self.fate).on_end(status, now, restarting);
        Some(end)
    }

    /// Starts it at the next look if it does not run.
    ///
    /// Fails when it runs.
    pub(crate) fn start(&self) -> Result<(), String> {
        if self.process.id().is_some() {
            return Err(format!("{} runs already", self.member.name));
        }
        let mut fate = lock(&self.fate);
        fate.failures = 0;
        fate.due = Some(Instant::now());
        Ok(())
    }

    /// Not to be started any more.
    pub(crate) fn stay_down(&self) {
        lock(&self.fate).due = None;
    }

    /// When it is started next; how it last ended.
    pub(crate) fn outlook(&self) -> (Option<Instant>, Option<String>) {
        let fate = lock(&self.fate);
        (fate.due, fate.end.clone())
    }

    /// Asks it to end, and lets it go on if it was stopped: otherwise it could not.
    pub(crate) fn terminate(&self) {
        // It may have ended.
        let _ = self.process.signal(Signal::Terminate);
        let _ = self.process.signal(Signal::Continue);
    }
}

impl Fate {
    fn on_end(&mut self, status: ExitStatus, now: Instant, restarting: bool) -> End {
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        };
        let lived = self.started.map_or(Duration::ZERO, |started| now - started);
        self.failures = if lived < HEALTHY {
            self.failures + 1
        } else {
            1
        };
        let next = if status.code() == Some(MISCONFIGURED) {
            Next::Never
        } else if restarting {
            Next::Again(pause(self.failures))
        } else {
            Next::Off
        };
        self.due = match next {
            Next::Again(pause) => Some(now + pause),
            Next::Never | Next::Off => None,
        };
        self.end = Some(how.clone());
        End { how, next }
    }
}

/// Before the start that follows this many failures in a row: none, 0.4, 0.8, 1.6 … seconds.
fn pause(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        more => PAUSE.saturating_mul(1 << (more - 2).min(16)).min(PAUSE_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXIT_1: i32 = 1 << 8;
    const EXIT_2: i32 = 2 << 8;
    const KILLED: i32 = 9;

    #[test]
    fn a_server_that_dies_again_and_again_is_started_ever_more_seldom() {
        let pauses = [1, 2, 3, 4, 8, 9, 99].map(|failures| pause(failures).as_millis());
        assert_eq!(pauses, [0, 400, 800, 1600, 25_600, 30_000, 30_000]);
    }

    #[test]
    fn a_server_that_was_healthy_is_started_at_once() {
        let now = Instant::now();
        let mut fate = Fate {
            started: Some(now),
            failures: 5,
            ..Fate::default()
        };
        let end = fate.on_end(ExitStatus::from_raw(KILLED), now + HEALTHY, true);
        let expected = End {
            how: "signal 9".into(),
            next: Next::Again(Duration::ZERO),
        };
        assert_eq!(end, expected);
        assert_eq!(fate.due, Some(now + HEALTHY));
    }

    #[test]
    fn a_misconfigured_server_and_one_without_restarting_stay_down() {
        let now = Instant::now();
        let mut fate = Fate::default();
        let misconfigured = fate.on_end(ExitStatus::from_raw(EXIT_2), now, true);
        assert_eq!((misconfigured.next, fate.due), (Next::Never, None));
        let off = fate.on_end(ExitStatus::from_raw(EXIT_1), now, false);
        assert_eq!(
            (off.how.as_str(), off.next, fate.due),
            ("exit code 1", Next::Off, None)
        );
    }
}
