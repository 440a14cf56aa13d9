//! What this process uses of the system, read from Linux's `/proc`.
//!
//! Every function returns `None` on other systems, and when no descriptor is left to open `/proc`.

use std::fs;

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
}
