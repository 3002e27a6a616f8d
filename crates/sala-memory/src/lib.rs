//! The memory of Sala's programs: their allocator, and how what a peak of clients needed goes back to the
//! system when they have gone.
//!
//! ```no_run
//! #[global_allocator]
//! static ALLOCATOR: sala_memory::Allocator = sala_memory::Allocator;
//!
//! #[tokio::main]
//! async fn main() {
//!     tokio::spawn(sala_memory::give_back());
//!     // …
//! }
//! ```
//!
//! mimalloc looks for memory to return while it allocates, not while the program idles, and each thread looks at
//! its own only. With a single thread, a peak of 10,000 clients stays until others come; with several, most of it
//! stays even then, because it lies with threads that sleep. So somebody has to wake them: [`give_back`].
//!
//! mimalloc asks for huge pages, which the kernel makes wherever a little of their 2 MiB is in use, also out of what was just
//! returned. They save a few percent of CPU for a message, so they stay; where memory counts more, `MIMALLOC_ALLOW_THP=0`
//! in the environment refuses them, and more goes back.

mod gathering;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{MissedTickBehavior, interval};

pub use mimalloc::MiMalloc as Allocator;

use self::gathering::Gathering;

/// How often memory is given back. An idle thread needs 10 to 50 µs for it, a millisecond for each 10 MiB
/// that it has to return.
const INTERVAL: Duration = Duration::from_secs(10);
/// The longest that a thread of the runtime waits for the others.
const PATIENCE: Duration = Duration::from_millis(1);

/// Has all threads of the runtime give back what they do not need, every ten seconds, until it is dropped.
///
/// # Panics
///
/// Outside of a tokio runtime, and in one without timers.
pub async fn give_back() {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        give_back_now().await;
    }
}

/// Has all threads of the runtime give back what they do not need. A thread that does not come within 1 ms, because it is
/// busy, may be left out: the next time is soon.
///
/// May be dropped: the threads that are asked already do it all the same.
///
/// # Panics
///
/// Outside of a tokio runtime.
pub async fn give_back_now() {
    let threads = Handle::current().metrics().num_workers();
    let gathering = Arc::new(Gathering::new(threads, PATIENCE));
    let tasks: Vec<_> = (0..threads)
        .map(|_| {
            let gathering = gathering.clone();
            tokio::spawn(async move {
                // Blocks the thread, for that is how each of these tasks gets another one.
                gathering.wait();
                collect();
            })
        })
        .collect();
    for task in tasks {
        // It neither panics nor is it aborted, except by the end of the runtime.
        let _ = task.await;
    }
    // One thread at a time returns what all have set free; what others set free meanwhile is left over.
    collect();
}

/// Frees what this thread keeps for later, and returns what is free in the whole process to the system.
#[expect(
    unsafe_code,
    reason = "the allocator has a function for it, and nobody a safe wrapper"
)]
fn collect() {
    // SAFETY: the function takes no pointer and may be called by any thread at any time; memory that is
    // in use is not touched, and a thread's own heap is made when it has none yet.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
