//! A temporary folder that leaves nothing behind, however the program ends.
//!
//! A program in std cannot catch Ctrl-C, and none can catch SIGKILL. But the system closes a pipe
//! however its writer ends. So a shell waits for that, kills every process whose stderr is a file
//! in the folder, and removes the folder. The shell ignores the signals that a terminal sends to
//! the whole group. A server that is just starting holds the pipe open until its stderr is in the
//! folder, so the shell overlooks none.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};

const SCRIPT: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
left=1
while [ "$left" = 1 ]; do
    left=0
    for process in /proc/[0-9]*; do
        case "$(readlink "$process/fd/2")" in
            "$1"/*) kill -KILL "${process#/proc/}"; left=1 ;;
        esac
    done
done
rm -rf "$1"
"#;

/// Owns a temporary folder, and the shell that cleans up after it.
#[derive(Debug)]
pub(crate) struct ScratchDir {
    path: PathBuf,
    shell: Child,
}

impl ScratchDir {
    /// Creates the folder `NAME-PID` in `parent`.
    ///
    /// Fails when it cannot be created, or there is no shell.
    pub(crate) fn create(parent: &Path, name: &str) -> Result<ScratchDir, String> {
        let path = parent.join(format!("{name}-{}", process::id()));
        let cannot = |error| format!("cannot create {}: {error}", path.display());
        fs::create_dir(&path).map_err(cannot)?;
        // As Linux shows it under /proc.
        let path = fs::canonicalize(&path).map_err(cannot)?;
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "bazar-scratch-dir"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start sh: {error}"))?;
        Ok(ScratchDir { path, shell })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The log of a server.
    pub(crate) fn log(&self, server: &str) -> PathBuf {
        self.path.join(format!("{server}.log"))
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// Replaces `dir/name` as durably as the catalog's storage does: temporary file, fsync, rename,
/// fsync of the folder.
pub(crate) fn replace_file(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(name))?;
    File::open(dir)?.sync_all()
}
