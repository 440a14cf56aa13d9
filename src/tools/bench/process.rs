//! A server as a process of its own, started from this very program.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::tools::bench::warden::Warden;

/// How long a server may take until it says that it listens.
const START_MAX: Duration = Duration::from_secs(30);

/// One process, or the recipe for the next.
#[derive(Debug)]
pub struct Process {
    name: String,
    args: Vec<String>,
    settings: Vec<(&'static str, String)>,
    warden: Arc<Warden>,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Nothing runs yet.
    pub fn new(
        name: &str,
        args: &[&str],
        settings: Vec<(&'static str, String)>,
        warden: &Arc<Warden>,
    ) -> Process {
        Process {
            name: name.to_string(),
            args: args.iter().map(ToString::to_string).collect(),
            settings,
            warden: warden.clone(),
            child: Mutex::new(None),
        }
    }

    /// Starts it and returns the address at which it says it listens.
    ///
    /// Fails with the end of its log when it does not.
    pub fn start(&self) -> Result<String, String> {
        let child = self.spawn();
        let mut child = child.map_err(|error| format!("cannot start {}: {error}", self.name))?;
        let stdout = child.stdout.take().expect("stdout is piped");
        *self.child.lock().expect("nobody panics in here") = Some(child);
        let (sender, first) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = sender.send(line);
        });
        let line = first.recv_timeout(START_MAX).unwrap_or_default();
        let address = line.trim().strip_prefix("listening on ");
        address.map(ToString::to_string).ok_or_else(|| {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            format!("{} does not listen: {line}{log}", self.name)
        })
    }

    fn spawn(&self) -> std::io::Result<Child> {
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
        self.warden.folder().join(format!("{}.log", self.name))
    }

    /// Pulls the plug. Returns when the process is gone.
    pub fn kill(&self) {
        let child = self.child.lock().expect("nobody panics in here").take();
        if let Some(mut child) = child {
            // It may be gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it: it still accepts connections, but answers nothing. Returns when it has stopped.
    ///
    /// Fails when there is no `kill` command.
    pub fn stop(&self) -> Result<(), String> {
        let pid = self.signal("STOP")?;
        let until = Instant::now() + START_MAX;
        while !is_stopped(pid) && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets it go on.
    pub fn go_on(&self) -> Result<(), String> {
        self.signal("CONT").map(drop)
    }

    /// The id of the process, while it runs.
    pub fn id(&self) -> Option<u32> {
        let child = self.child.lock().expect("nobody panics in here");
        child.as_ref().map(Child::id)
    }

    fn signal(&self, signal: &str) -> Result<u32, String> {
        let child = self.child.lock().expect("nobody panics in here");
        let child = child.as_ref().ok_or("it does not run")?;
        let pid = child.id();
        let sent = Command::new("kill")
            .args([format!("-{signal}"), pid.to_string()])
            .status();
        match sent {
            Ok(status) if status.success() => Ok(pid),
            Ok(status) => Err(format!(
                "cannot send SIG{signal} to {}: {status}",
                self.name
            )),
            Err(error) => Err(format!("cannot send SIG{signal} to {}: {error}", self.name)),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().unwrap_or("").starts_with(" T")
}
