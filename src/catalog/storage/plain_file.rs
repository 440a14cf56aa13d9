//! Reading a file that must be a plain one.

use std::fs;
use std::path::Path;

/// The content of a plain file, or of one that a link points to. Fails with path and reason; for a
/// folder, a FIFO, a socket or a device at once, since to open one might wait for ever.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let name = path.display();
    let found = fs::metadata(path).map_err(|e| format!("cannot read {name}: {e}"))?;
    if !found.is_file() {
        return Err(format!(
            "cannot read {name}: it is no plain file, but a folder, FIFO, socket or device"
        ));
    }
    fs::read(path).map_err(|e| format!("cannot read {name}: {e}"))
}
