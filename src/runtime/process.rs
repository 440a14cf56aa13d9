//! What this process uses of the system, as Linux tells it under `/proc`. Elsewhere, and when there
//! is no descriptor left to look with, nothing is known.

use std::fs;

/// How many descriptors are open; one of them is that of this look.
pub fn descriptors() -> Option<usize> {
    fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}

/// How many descriptors may be open.
pub fn descriptors_max() -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

pub fn threads() -> Option<usize> {
    status("Threads:")
}

/// Memory that is in use, in bytes.
pub fn resident_bytes() -> Option<usize> {
    status("VmRSS:").map(|kib| kib * 1024)
}

fn status(name: &str) -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_what_this_process_uses() {
        let open = descriptors().unwrap();
        assert!(open < descriptors_max().unwrap());
        assert!(0 < threads().unwrap());
        assert!(100_000 < resident_bytes().unwrap());
    }
}
