//! Crashes, pauses, starvation and cuts, at random. One catalog that has caught up always stays:
//! that is the promise.

use std::sync::Arc;

use crate::catalog::shelf::copy_state::CopyState;
use crate::catalog::sim::cluster::Cluster;
use crate::catalog::sim::event_queue::Life;

/// Faults one after another. A task.
pub fn chaos(world: &Arc<Cluster>, faults: usize) {
    for _ in 0..faults {
        let pause = if world.baton.draw(|rng| rng.bool()) {
            30.0
        } else {
            300.0
        };
        world.baton.pause(world.between(0.0, pause));
        let servers = world.setting.catalogs + world.setting.front_ends;
        let node = world.baton.draw(|rng| rng.usize(..servers));
        if !may_fail(world, node) {
            continue;
        }
        if node < world.setting.catalogs && world.chance(world.setting.starved) {
            let until = world.baton.now() + long_or_short(world, (100.0, 450.0), (300.0, 1200.0));
            world.inside().catalogs[node].starved_until = until;
        } else {
            fail(world, node);
        }
    }
}

/// A crash or a pause, and its end.
fn fail(world: &Arc<Cluster>, node: usize) {
    if world.chance(world.setting.crashes) {
        world.crash(node);
        world
            .baton
            .pause(long_or_short(world, (1.0, 20.0), (20.0, 1500.0)));
        start_again(world, node);
        return;
    }
    let life = world.baton.life(node);
    world.stop(node);
    world
        .baton
        .pause(long_or_short(world, (1.0, 100.0), (300.0, 2500.0)));
    if world.baton.alive(life) {
        world.go_on(node);
    }
}

/// Somebody else may have started it meanwhile.
fn start_again(world: &Arc<Cluster>, node: usize) {
    if !world.baton.is_up(node) {
        world.start(node);
    }
}

fn long_or_short(world: &Cluster, short: (f64, f64), long: (f64, f64)) -> u64 {
    let (low, high) = if world.baton.draw(|rng| rng.bool()) {
        short
    } else {
        long
    };
    world.between(low, high)
}

/// A catalog takes a step of a write: it may be its last.
pub fn at_a_step(world: &Arc<Cluster>, life: Life) {
    if !world.chance(world.setting.step_faults) {
        return;
    }
    let pause = match world.baton.draw(|rng| rng.u8(..3)) {
        0 => 0,
        1 => world.between(0.0, 3.0),
        _ => world.between(0.0, 30.0),
    };
    let own = world.clone();
    world.baton.task_in(pause, None, move || {
        let there = own.baton.alive(life) && !own.inside().calm;
        if there && may_fail(&own, life.node) {
            fail(&own, life.node);
        }
    });
}

/// Whether this server runs, and another catalog stays that has caught up.
fn may_fail(world: &Cluster, node: usize) -> bool {
    let others = 0..world.setting.catalogs;
    world.baton.runs(node)
        && (world.setting.catalogs <= node
            || others
                .into_iter()
                .any(|other| other != node && stays(world, other)))
}

fn stays(world: &Cluster, node: usize) -> bool {
    world.baton.runs(node) && {
        let replica = world.replica(node);
        let valid = |id| {
            replica
                .peek(id)
                .is_some_and(|(_, state, _)| state == CopyState::Valid)
        };
        world.setting.stock.iter().all(|book| valid(book.id)) && replica.health().lease
    }
}

/// The net is cut in two for a while. A task.
pub fn partition(world: &Arc<Cluster>) {
    world.baton.pause(world.between(100.0, 1500.0));
    let servers = world.setting.catalogs + world.setting.front_ends;
    let sides = world
        .baton
        .draw(|rng| (0..servers).map(|_| rng.bool()).collect());
    world.inside().sides = Some(sides);
    world.note(|| "the net is cut".into());
    world
        .baton
        .pause(long_or_short(world, (200.0, 900.0), (600.0, 4000.0)));
    world.inside().sides = None;
    world.note(|| "the net is whole".into());
}

/// All catalogs crash, one after another or at once, and come back in any order. A task.
pub fn total_failure(world: &Arc<Cluster>) {
    world.baton.pause(world.between(300.0, 2500.0));
    let mut catalogs: Vec<usize> = (0..world.setting.catalogs).collect();
    world.baton.draw(|rng| rng.shuffle(&mut catalogs));
    for node in &catalogs {
        if world.baton.is_up(*node) {
            world.crash(*node);
        }
        world
            .baton
            .pause(long_or_short(world, (0.0, 0.1), (0.0, 400.0)));
    }
    world.baton.draw(|rng| rng.shuffle(&mut catalogs));
    for node in catalogs {
        start_again(world, node);
        world
            .baton
            .pause(long_or_short(world, (0.0, 0.1), (0.0, 900.0)));
    }
}
