//! What goes wrong in a run. Each file is one kind of fault: a function that returns the tasks that
//! do it. A world names the kinds that it has.
//!
//! What happens to single messages and to writes to disk is in the parameters.

pub(super) mod clock_step;
pub(super) mod first_start;
pub(super) mod full_disk;
pub(super) mod one_way_cut;
pub(super) mod partition;
pub(super) mod random;
pub(super) mod staggered;
pub(super) mod total_failure;
pub(super) mod unclean_cut;
