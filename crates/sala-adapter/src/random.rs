//! Random bytes, a stock at a time.

use std::cell::RefCell;

/// How many bytes are fetched at once, for each thread. Fetched one by one, the bytes of an id cost
/// more than everything else about it.
const STOCK: usize = 480;

struct Stock {
    bytes: [u8; STOCK],
    left: usize,
}

thread_local! {
    static RANDOM: RefCell<Stock> = const {
        RefCell::new(Stock {
            bytes: [0; STOCK],
            left: 0,
        })
    };
}

/// Bytes from the operating system's random number generator. What has been given out is not kept.
/// (Not in a process that forks and goes on making ids on both sides: each would have the same stock.)
///
/// # Panics
///
/// If the operating system has no randomness to give.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    const { assert!(N <= STOCK) };
    RANDOM.with_borrow_mut(|stock| {
        if stock.left < N {
            getrandom::fill(&mut stock.bytes).expect("the operating system provides random bytes");
            stock.left = STOCK;
        }
        stock.left -= N;
        let mut taken = [0; N];
        taken.swap_with_slice(&mut stock.bytes[stock.left..][..N]);
        taken
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn no_byte_is_given_out_twice() {
        let on_threads = (0..4).map(|_| {
            std::thread::spawn(|| {
                let taken = (0..1000).map(|_| super::random::<16>());
                taken.collect::<Vec<_>>()
            })
        });
        let taken: Vec<_> = on_threads
            .collect::<Vec<_>>()
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 4000);
    }
}
