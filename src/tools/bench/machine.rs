//! The machine and the build that the figures belong to, as Linux tells them under `/proc`.

use std::fs;
use std::thread;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::runtime::log;

/// What stands above every table.
#[derive(Clone, Debug, Serialize)]
pub struct Head {
    pub version: &'static str,
    /// `release` or `debug`.
    pub profile: &'static str,
    /// UTC.
    pub date: String,
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    pub memory_gib: f64,
    /// How many others wanted a core when it began: figures of a busy machine are worth less.
    pub load_average: String,
    pub seed: u64,
    pub quick: bool,
}

impl Head {
    pub fn new(seed: u64, quick: bool) -> Head {
        let profile = match cfg!(debug_assertions) {
            true => "debug",
            false => "release",
        };
        Head {
            version: env!("CARGO_PKG_VERSION"),
            profile,
            date: log::rfc3339(SystemTime::now()),
            processor: field("/proc/cpuinfo", "model name"),
            cores: cores(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_string(),
            memory_gib: memory_gib(),
            load_average: read("/proc/loadavg")
                .split(' ')
                .next()
                .unwrap_or("")
                .to_string(),
            seed,
            quick,
        }
    }
}

pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// What this process has used of all processors since its start, to a hundredth of a second.
pub fn processor_time() -> Duration {
    let stat = read("/proc/self/stat");
    // The second field is the program's name in brackets, which may hold spaces.
    let fields = stat.rsplit(')').next().unwrap_or("");
    let ticks = fields.split_ascii_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
    // Linux shows a hundred ticks a second to programs, whatever it counts by itself.
    Duration::from_millis(ticks * 10)
}

fn memory_gib() -> f64 {
    let kib = field("/proc/meminfo", "MemTotal");
    let kib: f64 = kib.trim_end_matches(" kB").parse().unwrap_or(0.0);
    (kib / (1 << 20) as f64 * 10.0).round() / 10.0
}

fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(key, _)| key.trim() == name);
    found.map_or_else(String::new, |(_, value)| value.trim().to_string())
}

/// Empty where there is no such file: a figure without its machine is still a figure.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
