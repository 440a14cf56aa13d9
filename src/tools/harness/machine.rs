//! The build and the machine that a result belongs to, as Linux describes them under `/proc`.

use std::fs;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::runtime::log;

/// What stands above every table: build, date (UTC), seed, machine, and how many processes wanted
/// a core when the run began. Numbers from a busy machine are worth less.
pub(crate) fn describe_run(seed: u64, quick: bool) -> String {
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let warning = if quick {
        "A quick run: it shows that everything works, and nothing about how fast.\n"
    } else {
        ""
    };
    format!(
        "bazar {} ({profile}), {}, seed {seed}\n\
        {} cores ({}), {:.1} GiB, Linux {}, load average {} at the start\n{warning}",
        env!("CARGO_PKG_VERSION"),
        log::rfc3339(SystemTime::now()),
        cores(),
        field("/proc/cpuinfo", "model name"),
        memory_bytes("/proc/meminfo", "MemTotal") as f64 / (1 << 30) as f64,
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or(""),
    )
}

pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// The processor time that this process has used since its start, to a hundredth of a second.
pub(crate) fn processor_time() -> Duration {
    let stat = read("/proc/self/stat");
    // The second field is the program's name in brackets, which may hold spaces.
    let fields = stat.rsplit(')').next().unwrap_or("");
    let ticks = fields.split_ascii_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
    // Linux shows programs a hundred ticks a second, whatever it counts internally.
    Duration::from_millis(ticks * 10)
}

/// A field in kB, such as `VmRSS` of `/proc/7/status`, in bytes. 0 where Linux does not tell.
pub(crate) fn memory_bytes(path: &str, name: &str) -> u64 {
    let kib = field(path, name);
    kib.trim_end_matches(" kB").parse().unwrap_or(0) * 1024
}

fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(key, _)| key.trim() == name);
    found.map_or_else(String::new, |(_, value)| value.trim().to_string())
}

/// Empty where there is no such file: a result without its machine is still a result.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
