//! Nothing stays behind, however the benchmark ends.
//!
//! A program in std cannot hear Ctrl-C, let alone SIGKILL. But a pipe is closed however its writers
//! end: a shell waits for that, kills every process whose stderr is a file in the folder, and
//! removes the folder. It ignores the signals that a terminal sends to everybody. A server that is
//! just being started holds the pipe open until its stderr is what it should be, so that none is
//! overlooked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

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

/// Owns a temporary folder, and ends every process that logs into it when it ends itself.
#[derive(Debug)]
pub struct Warden {
    folder: PathBuf,
    shell: Child,
}

impl Warden {
    /// Makes `folder`, which must not be there yet.
    ///
    /// Fails when it cannot be made, or there is no shell.
    pub fn new(folder: &Path) -> Result<Warden, String> {
        let cannot = |error| format!("cannot make {}: {error}", folder.display());
        fs::create_dir(folder).map_err(cannot)?;
        // As Linux shows it under /proc.
        let folder = fs::canonicalize(folder).map_err(cannot)?;
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "bazar-bench-warden"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start sh: {error}"))?;
        Ok(Warden { folder, shell })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
