//! `bazar scale` with a thousand books: that it works, not how fast anything is.

use std::fs;
use std::process::Command;

use crate::harness::process::{BAZAR, run};
use crate::harness::shop::own_folder;

#[test]
fn a_large_shop_is_measured_beside_a_small_one_and_nothing_stays() {
    let folder = own_folder();
    let mut command = Command::new(BAZAR);
    command.args([
        "scale", "--quick", "--books", "1000", "--orders", "1000", "--folder",
    ]);
    command.arg(&folder);
    let (code, stdout, stderr) = run(command);
    assert_eq!(code, Some(0), "{stderr}");
    for row in [
        "start until ready",
        "memory",
        "lookup",
        "buy",
        "import",
        "missed",
        "search",
        "in one file",
        "A ledger of 1000 orders",
        "200 orders more that came alone",
    ] {
        assert!(stdout.contains(row), "{row}: {stdout}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    fs::remove_dir(folder).unwrap();
}
