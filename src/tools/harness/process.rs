//! A server as a process of its own, started from this program's own file.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::runtime::sync::lock;
use crate::tools::harness::machine;
use crate::tools::harness::scratch_dir::ScratchDir;

/// How long a server may take until it says that it listens, or until a signal has stopped it.
const START_MAX: Duration = Duration::from_secs(30);

/// A server that can be started, paused, killed, and started again. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    args: Vec<String>,
    settings: Vec<(&'static str, String)>,
    scratch: Arc<ScratchDir>,
    /// `None` while it does not run.
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Does not start it yet. Its log will be `NAME.log` in `scratch`.
    pub(crate) fn new(
        name: String,
        args: &[&str],
        settings: Vec<(&'static str, String)>,
        scratch: &Arc<ScratchDir>,
    ) -> Process {
        Process {
            name,
            args: args.iter().map(ToString::to_string).collect(),
            settings,
            scratch: scratch.clone(),
            child: Mutex::new(None),
        }
    }

    /// Starts it and returns the address at which it says it listens.
    ///
    /// Fails with the end of its log when it does not.
    pub(crate) fn start(&self) -> Result<String, String> {
        let child = self.spawn();
        let mut child = child.map_err(|error| format!("cannot start {}: {error}", self.name))?;
        let stdout = child.stdout.take().expect("stdout is piped");
        *lock(&self.child) = Some(child);
        let (sender, first_line) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = sender.send(line);
        });
        let line = first_line.recv_timeout(START_MAX).unwrap_or_default();
        let address = line.trim().strip_prefix("listening on ");
        address.map(ToString::to_string).ok_or_else(|| {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            format!("{} does not listen: {line}{log}", self.name)
        })
    }

    fn spawn(&self) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(self.log())?;
        Command::new(env::current_exe()?)
            .args(&self.args)
            .env_clear()
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
    }

    fn log(&self) -> PathBuf {
        self.scratch.path().join(format!("{}.log", self.name))
    }

    /// Sends SIGKILL. Returns when the process is gone.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = lock(&self.child).take() {
            // It may be gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Tells it to end, with SIGTERM. Returns when it has.
    ///
    /// Fails when there is no `kill` command, or when it does not end.
    pub(crate) fn terminate(&self) -> Result<(), String> {
        self.signal("TERM")?;
        let deadline = Instant::now() + START_MAX;
        while !self.has_ended() {
            if deadline < Instant::now() {
                return Err(format!("{} does not end", self.name));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn has_ended(&self) -> bool {
        let mut child = lock(&self.child);
        let ended = child
            .as_mut()
            .is_none_or(|child| child.try_wait().is_ok_and(|it| it.is_some()));
        if ended {
            *child = None;
        }
        ended
    }

    /// Stops it with SIGSTOP: the system still accepts connections for it, but it answers nothing.
    /// Returns when it has stopped.
    ///
    /// Fails when there is no `kill` command.
    pub(crate) fn pause(&self) -> Result<(), String> {
        self.signal("STOP")?;
        let deadline = Instant::now() + START_MAX;
        while !self.is_paused() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    pub(crate) fn resume(&self) -> Result<(), String> {
        self.signal("CONT")
    }

    /// The memory in use, in bytes; 0 when it does not run.
    pub(crate) fn resident_bytes(&self) -> u64 {
        machine::memory_bytes(&self.proc("status"), "VmRSS")
    }

    fn signal(&self, signal: &str) -> Result<(), String> {
        let id = self.id();
        let id = id.ok_or_else(|| format!("{} does not run", self.name))?;
        let args = [format!("-{signal}"), id.to_string()];
        match Command::new("kill").args(args).status() {
            Ok(status) if status.success() => Ok(()),
            _ => Err(format!("cannot send SIG{signal} to {}", self.name)),
        }
    }

    fn is_paused(&self) -> bool {
        let stat = fs::read_to_string(self.proc("stat")).unwrap_or_default();
        stat.rsplit(')').next().unwrap_or("").starts_with(" T")
    }

    fn proc(&self, file: &str) -> String {
        // There is no process 0.
        format!("/proc/{}/{file}", self.id().unwrap_or(0))
    }

    fn id(&self) -> Option<u32> {
        lock(&self.child).as_ref().map(Child::id)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
