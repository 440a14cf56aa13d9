//! What this process uses of the system, read from Linux's `/proc`.
//!
//! Every function returns `None` on other systems, and when no descriptor is left to open `/proc`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::time::Duration;

/// Ticks of Linux's clock in `/proc`: 100 on every architecture that it has now.
const TICKS_A_SECOND: u32 = 100;

/// How many descriptors are open, the one that reads `/proc` included.
pub(crate) fn descriptors() -> Option<usize> {
    fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}

/// How many descriptors may be open.
pub(crate) fn descriptors_max() -> Option<usize> {
    number_after("/proc/self/limits", "Max open files")
}

pub(crate) fn threads() -> Option<usize> {
    number_after("/proc/self/status", "Threads:")
}

/// Resident memory.
pub(crate) fn resident_bytes() -> Option<usize> {
    number_after("/proc/self/status", "VmRSS:").map(|kib| kib * 1024)
}

/// How many connections to this address their clients have closed and this machine has not. Reads
/// the table of all connections of the machine: 2 ms for an empty one, a second for 100,000.
pub(crate) fn half_closed(address: SocketAddr) -> Option<usize> {
    const CLOSE_WAIT: &str = "08";
    let ends = format!(":{:04X}", address.port());
    let is_one = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _, state) = (fields.next(), fields.next(), fields.next());
        local.is_some_and(|local| local.ends_with(&ends)) && state == Some(CLOSE_WAIT)
    };
    // A listener of IPv6 has its connections by IPv4 in the same table as the others.
    let table = match address {
        SocketAddr::V4(_) => "/proc/self/net/tcp",
        SocketAddr::V6(_) => "/proc/self/net/tcp6",
    };
    let (mut file, mut line) = (BufReader::new(File::open(table).ok()?), String::new());
    let mut count = 0;
    while 0 < file.read_line(&mut line).ok()? {
        count += usize::from(is_one(&line));
        line.clear();
    }
    Some(count)
}

/// When the process was started, since 1970.
pub(crate) fn started() -> Option<Duration> {
    let booted = number_after("/proc/stat", "btime")?;
    // The 22nd field.
    Some(Duration::from_secs(booted as u64) + ticks(stat()?.get(21 - 2)?)?)
}

/// The time that its threads have run, those that have ended included.
pub(crate) fn cpu_time() -> Option<Duration> {
    let stat = stat()?;
    // The 14th field and the 15th: in user mode, and in the kernel.
    Some(ticks(stat.get(13 - 2)?)? + ticks(stat.get(14 - 2)?)?)
}

/// The fields of `/proc/self/stat` behind the name of the program, which may hold spaces: the first
/// is the third.
fn stat() -> Option<Vec<String>> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_string).collect())
}

fn ticks(field: &str) -> Option<Duration> {
    Some(Duration::from_secs(field.trim().parse().ok()?) / TICKS_A_SECOND)
}

/// The first number in the line that begins with `name`.
fn number_after(file: &str, name: &str) -> Option<usize> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_from_proc() {
        let open = descriptors().unwrap();
        assert!(open < descriptors_max().unwrap());
        assert!(0 < threads().unwrap());
        assert!(100_000 < resident_bytes().unwrap());
    }

    #[test]
    fn a_process_has_started_a_while_ago_and_takes_time() {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let age = (now + Duration::from_secs(1)).checked_sub(started().unwrap());
        assert!(age.unwrap() < Duration::from_secs(24 * 3600), "{age:?}");
        let before = cpu_time().unwrap();
        while cpu_time().unwrap() == before {
            std::hint::spin_loop();
        }
    }
}
