//! A server as a process of its own: of a shop, of `bazar bench` and `bazar scale`, and of the tests.
//!
//! It ends with the program that started it, however that one ends: its standard input is a pipe
//! whose other end is held here, and a server with `--exit-with-stdin` exits when that is closed.
//! A stopped one cannot notice. But each is a process group of its own, and when the parent of a
//! group ends while one of it is stopped, the system sends it SIGHUP and lets it go on. So Ctrl-C
//! on a terminal does not reach the servers either: whoever started them decides.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::runtime::signals::Signal;
use crate::runtime::sync::lock;
use crate::supervisor::server_log::ServerLog;

/// How long a server may take until it says that it listens, or until a signal has stopped it.
const START_MAX: Duration = Duration::from_secs(30);

/// What is started.
#[derive(Clone, Debug)]
pub struct Spec {
    /// In logs and errors.
    pub name: String,
    /// Its file; `None`: that of this program.
    pub program: Option<PathBuf>,
    pub args: Vec<String>,
    pub environment: Vec<(&'static str, String)>,
    /// Whether it has the environment of this process, too.
    pub inherits: bool,
}

/// Where its output goes.
#[derive(Clone, Debug)]
pub(crate) enum Output {
    /// stderr is appended to this file.
    File(PathBuf),
    /// stdout and stderr are shown.
    Shown(Arc<ServerLog>),
}

/// A server that can be started, stopped, killed, and started again. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    pub(crate) spec: Spec,
    output: Output,
    /// `None` while it does not run.
    child: Mutex<Option<Child>>,
    /// Reads the output of the last start.
    reader: Mutex<Option<JoinHandle<()>>>,
}

impl Process {
    /// A server whose stderr is appended to a file. Does not start it yet.
    pub fn logging_to(stderr: PathBuf, spec: Spec) -> Process {
        Process::new(spec, Output::File(stderr))
    }

    /// Does not start it yet.
    pub(crate) fn new(spec: Spec, output: Output) -> Process {
        Process {
            spec,
            output,
            child: Mutex::new(None),
            reader: Mutex::new(None),
        }
    }

    /// Starts it and returns the address at which it says it listens.
    ///
    /// Fails with the end of its log when it does not.
    pub fn start(&self) -> Result<String, String> {
        let address = self.launch()?.recv_timeout(START_MAX);
        address.map_err(|_| format!("{} does not listen: {}", self.spec.name, self.last_words()))
    }

    /// Starts it. The address at which it listens can be received once it says so.
    ///
    /// Fails when the system starts no process.
    pub(crate) fn launch(&self) -> Result<mpsc::Receiver<String>, String> {
        self.launch_with(&[])
    }

    /// As [`Process::launch`], with more arguments, this time.
    pub(crate) fn launch_with(&self, args: &[String]) -> Result<mpsc::Receiver<String>, String> {
        let spawned = self.spawn(args);
        let (child, stdout) =
            spawned.map_err(|error| format!("cannot start {}: {error}", self.spec.name))?;
        *lock(&self.child) = Some(child);
        let (sender, listens) = mpsc::channel();
        let output = self.output.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                if let Some(address) = line.strip_prefix("listening on ") {
                    let _ = sender.send(address.to_string());
                }
                if let Output::Shown(log) = &output {
                    log.line(&line);
                }
            }
        });
        *lock(&self.reader) = Some(reader);
        Ok(listens)
    }

    /// The process, and what reads its output.
    fn spawn(&self, more_args: &[String]) -> io::Result<(Child, Box<dyn Read + Send>)> {
        let program = match &self.spec.program {
            Some(program) => program.clone(),
            None => own_file()?,
        };
        let mut command = Command::new(program);
        if !self.spec.inherits {
            command.env_clear();
        }
        command
            .args(&self.spec.args)
            .args(more_args)
            .envs(
                self.spec
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::piped())
            .process_group(0);
        match &self.output {
            Output::File(path) => {
                let log = File::options().create(true).append(true).open(path)?;
                let mut child = command.stdout(Stdio::piped()).stderr(log).spawn()?;
                let stdout = child.stdout.take().expect("stdout is piped");
                Ok((child, Box::new(stdout)))
            }
            Output::Shown(_) => {
                let (reader, writer) = io::pipe()?;
                command.stdout(writer.try_clone()?).stderr(writer);
                // The command holds two writers; it is dropped here, so that the pipe can end.
                Ok((command.spawn()?, Box::new(reader)))
            }
        }
    }

    /// Waits until all is shown that the process wrote before it ended.
    pub(crate) fn finish_output(&self) {
        if let Some(reader) = lock(&self.reader).take() {
            let _ = reader.join();
        }
    }

    fn last_words(&self) -> String {
        match &self.output {
            Output::File(path) => fs::read_to_string(path).unwrap_or_default(),
            Output::Shown(log) => log.last_lines().join("\n"),
        }
    }

    /// How it has ended, if it has since it was last asked.
    pub fn ended(&self) -> Option<ExitStatus> {
        let mut child = lock(&self.child);
        let status = child.as_mut()?.try_wait().ok()??;
        *child = None;
        Some(status)
    }

    /// Tells it to end, with SIGTERM. Returns when it has.
    ///
    /// Fails when it does not run, or does not end.
    pub(crate) fn terminate(&self) -> Result<(), String> {
        self.signal(Signal::Terminate)?;
        let deadline = Instant::now() + START_MAX;
        while self.ended().is_none() {
            if deadline < Instant::now() {
                return Err(format!("{} does not end", self.spec.name));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Sends SIGKILL. Returns when the process is gone.
    pub fn kill(&self) {
        if let Some(mut child) = lock(&self.child).take() {
            // It may be gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it with SIGSTOP: the system still accepts connections for it, but it answers nothing.
    /// Returns when it has stopped.
    ///
    /// Fails when it does not run.
    pub(crate) fn pause(&self) -> Result<(), String> {
        self.signal(Signal::Stop)?;
        let deadline = Instant::now() + START_MAX;
        while !self.is_paused() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    pub(crate) fn resume(&self) -> Result<(), String> {
        self.signal(Signal::Continue)
    }

    /// Sends a signal.
    ///
    /// Fails when it does not run.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), String> {
        let name = &self.spec.name;
        let child = lock(&self.child);
        let child = child
            .as_ref()
            .ok_or_else(|| format!("{name} does not run"))?;
        let sent = signal.send(child.id());
        sent.map_err(|error| format!("cannot send SIG{} to {name}: {error}", signal.name()))
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.id().is_some_and(is_stopped)
    }

    /// Of the process, while it runs.
    pub fn id(&self) -> Option<u32> {
        lock(&self.child).as_ref().map(Child::id)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether a process is stopped (SIGSTOP). Not before its last thread is: until then the system
/// would not end it when its parent ends.
pub fn is_stopped(process: u32) -> bool {
    let is_stopped = |stat: PathBuf| {
        let stat = fs::read_to_string(stat).unwrap_or_default();
        stat.rsplit(')').next().unwrap_or("").starts_with(" T")
    };
    let process = PathBuf::from(format!("/proc/{process}"));
    // Of one that runs, the first file says so.
    let threads = || fs::read_dir(process.join("task")).into_iter().flatten();
    let stat = |thread: fs::DirEntry| thread.path().join("stat");
    is_stopped(process.join("stat")) && threads().flatten().map(stat).all(is_stopped)
}

/// Where this program was when the first server was started: a new build may take its place.
fn own_file() -> io::Result<PathBuf> {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    match FILE.get() {
        Some(file) => Ok(file.clone()),
        None => {
            let file = env::current_exe()?;
            Ok(FILE.get_or_init(|| file).clone())
        }
    }
}
