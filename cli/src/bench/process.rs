//! What the kernel says of a process on this machine.

use std::fs;

/// Clock ticks per second in /proc, on every Linux of today.
const TICKS: f64 = 100.0;

/// Memory and CPU time of a process and all below it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    /// Resident bytes.
    pub(super) rss: u64,
    /// Seconds in user and kernel mode since it started.
    pub(super) cpu: f64,
}

/// Reads /proc. `None` if there is no such process, or no /proc.
pub(super) fn usage(pid: u32) -> Option<Usage> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        for child in children(*pid) {
            if !all.contains(&child) {
                all.push(child);
            }
        }
        next += 1;
    }
    let first = one(pid)?;
    Some(
        all[1..]
            .iter()
            .filter_map(|pid| one(*pid))
            .fold(first, |sum, usage| Usage {
                rss: sum.rss + usage.rss,
                cpu: sum.cpu + usage.cpu,
            }),
    )
}

/// CPU seconds of this process.
pub(super) fn own_cpu() -> f64 {
    one(std::process::id()).map_or(0.0, |usage| usage.cpu)
}

fn one(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Usage {
        rss: rss(&status),
        cpu: cpu(&stat)?,
    })
}

fn cpu(stat: &str) -> Option<f64> {
    // The name in parentheses may hold anything. After it come the fields from the third on; 14 and 15 are wanted.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

/// Zero for a process that has ended but was not waited for.
fn rss(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or_default() * 1024
}

/// Each thread lists the processes that it started.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_cannot_confuse() {
        let stat = "7 (a) b 1 2) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 100 1000 10";
        assert_eq!(cpu(stat), Some(3.0));
        assert_eq!(cpu("nonsense"), None);
        assert_eq!(rss("Name:\tx\nVmRSS:\t  123 kB\n"), 123 * 1024);
        assert_eq!(rss("Name:\tx\n"), 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory() {
        assert!(usage(std::process::id()).is_some_and(|usage| usage.rss > 100_000));
        assert_eq!(usage(u32::MAX), None);
    }
}
