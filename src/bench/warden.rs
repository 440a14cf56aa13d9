//! Nothing stays behind, however the benchmark ends.
//!
//! A program in std cannot hear Ctrl-C, let alone SIGKILL. But a pipe is closed however its writer ends: a shell reads
//! the ids of all processes from one, and when that ends it kills those that are left and removes the folder. It ignores
//! the signals that a terminal sends to everybody.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

const SCRIPT: &str = r#"
trap '' INT TERM HUP
pids=' '
while read -r what pid; do
    case $what in
        born) pids="$pids$pid " ;;
        gone) pids="${pids%% "$pid" *} ${pids#* "$pid" }" ;;
    esac
done
for pid in $pids; do kill -KILL "$pid" 2>/dev/null; done
rm -rf "$1"
"#;

/// Owns a temporary folder, and watches over the processes that are told to it.
#[derive(Debug)]
pub struct Warden {
    folder: PathBuf,
    shell: Child,
    /// Closed first when this is dropped.
    pipe: Mutex<Option<ChildStdin>>,
}

impl Warden {
    /// Makes `folder`, which must not be there yet.
    ///
    /// Fails when it cannot be made, or there is no shell.
    pub fn new(folder: &Path) -> Result<Warden, String> {
        let cannot = |error| format!("cannot make {}: {error}", folder.display());
        fs::create_dir(folder).map_err(cannot)?;
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "bazar-bench-warden"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start sh: {error}"))?;
        Ok(Warden {
            folder: folder.to_path_buf(),
            pipe: Mutex::new(shell.stdin.take()),
            shell,
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn born(&self, pid: u32) {
        self.tell("born", pid);
    }

    /// It was waited for, so its id may soon be another's.
    pub fn gone(&self, pid: u32) {
        self.tell("gone", pid);
    }

    fn tell(&self, what: &str, pid: u32) {
        let mut pipe = self.pipe.lock().expect("nobody panics in here");
        if let Some(pipe) = pipe.as_mut() {
            // Without a warden the benchmark goes on; it cleans up by itself unless it is killed.
            let _ = writeln!(pipe, "{what} {pid}");
        }
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        drop(self.pipe.lock().expect("nobody panics in here").take());
        let _ = self.shell.wait();
    }
}
