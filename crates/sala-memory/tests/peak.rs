//! The memory of a peak goes back to the system.

#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: sala_memory::Allocator = sala_memory::Allocator;

const MIB: usize = 1 << 20;
const PEAK: usize = 64 * MIB;
const BLOCK: usize = 1000;

/// The threads free what others have allocated, and then all of them sleep.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_runtime_with_several_threads() {
    let before = resident();
    let blocks = peak().await;
    assert!(resident() > before + PEAK / 2);
    free(blocks).await;
    // A thread that is kept from running by other programs may be left out once.
    let deadline = Instant::now() + Duration::from_secs(60);
    while resident() > before + PEAK / 4 {
        assert!(
            Instant::now() < deadline,
            "{} MiB of {} MiB are still there",
            (resident() - before) / MIB,
            PEAK / MIB
        );
        sala_memory::give_back_now().await;
    }
}

/// With one thread. The clock is the test's and goes on while nobody has anything to do: mimalloc alone gives nothing back then.
#[tokio::test(start_paused = true)]
async fn every_ten_seconds() {
    let giving_back = tokio::spawn(sala_memory::give_back());
    let before = resident();
    free(peak().await).await;
    assert!(resident() > before + PEAK / 2);
    tokio::time::sleep(Duration::from_secs(21)).await;
    let after = resident();
    assert!(after < before + PEAK / 4, "{} MiB", (after - before) / MIB);
    giving_back.abort();
}

type Blocks = Vec<Vec<u8>>;

/// Allocates on all threads, which is all that is in memory afterwards.
async fn peak() -> Vec<Blocks> {
    let tasks: Vec<_> = (0..64)
        .map(|_| tokio::spawn(async { vec![vec![1; BLOCK]; PEAK / 64 / BLOCK] }))
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.expect("it does not panic"));
    }
    all
}

/// Frees in small pieces of all allocations, so that nothing is freed by the thread alone that allocated it.
async fn free(mut all: Vec<Blocks>) {
    let mut tasks = Vec::new();
    while all.iter().any(|blocks| !blocks.is_empty()) {
        let piece: Blocks = all.iter_mut().filter_map(Vec::pop).collect();
        tasks.push(tokio::spawn(async { drop(piece) }));
    }
    for task in tasks {
        task.await.expect("it does not panic");
    }
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    let kib = kib.and_then(|kib| kib.parse::<usize>().ok());
    kib.expect("it says so in kB") << 10
}
