//! Processes: run to the end, signalled, waited for.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bazar::supervisor::process::is_stopped;

/// The program under test.
pub const BAZAR: &str = env!("CARGO_BIN_EXE_bazar");

/// How long something may take that the system promises: ten times what it takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Sends a signal by the `kill` command: std has only SIGKILL.
#[track_caller]
pub fn signal(name: &str, process: u32) {
    let status = Command::new("kill")
        .args(["-s", name, &process.to_string()])
        .status();
    assert!(status.unwrap().success(), "kill -s {name} {process}");
}

/// SIGSTOP. Returns once no thread of it runs: until then it does not count as stopped when its
/// parent ends, say, and would never be told to end.
#[track_caller]
pub fn stop(process: u32) {
    signal("STOP", process);
    eventually("the process has stopped", || is_stopped(process));
}

/// Runs to the end, and its response: exit code, stdout, stderr.
pub fn run(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Waits for a process to end.
#[track_caller]
pub fn await_end(child: &mut Child) -> ExitStatus {
    eventually("the process ends", || child.try_wait().unwrap().is_some());
    child.wait().unwrap()
}

/// Waits until something becomes true that the system promises "eventually".
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never so: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
