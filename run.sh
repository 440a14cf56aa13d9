#!/usr/bin/env bash
# Builds Bazar and runs a whole shop on this machine until Ctrl-C: `bazar shop`. Paths in DATA, BOOKS
# and BAZAR_BIN (a bazar that is built already) are the caller's; all else is beside this script.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export DATA=${DATA:-$here/data} BOOKS=${BOOKS:-$here/data/books.json}
if [[ ! ${BAZAR_BIN-} ]]; then
    (cd "$here" && cargo build --release --locked)
    target=${CARGO_TARGET_DIR:-target}
    [[ $target == /* ]] || target=$here/$target
    BAZAR_BIN=$target/release/bazar
fi
# A name without a slash would be searched in PATH.
[[ $BAZAR_BIN == */* ]] || BAZAR_BIN=./$BAZAR_BIN
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
exec "$BAZAR_BIN" shop "$@"
