//! Who gets a new client.

use std::fmt;
use std::str::FromStr;

/// Which worker gets a connection that belongs to no session yet: the methods of the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Balance {
    /// The one with the fewest sessions, the first of them if several have. The default.
    #[default]
    LeastConnection,
    /// Any.
    Random,
    /// One after the other.
    RoundRobin,
}

impl Balance {
    /// The index of the worker that is next, given how many sessions each has; `turn` counts the
    /// calls. `None` if there is nobody.
    pub(crate) fn choose(self, loads: &[u64], turn: &mut usize) -> Option<usize> {
        if loads.is_empty() {
            return None;
        }
        Some(match self {
            Self::LeastConnection => {
                let (index, _) = loads.iter().enumerate().min_by_key(|(_, load)| **load)?;
                index
            }
            Self::Random => rand::random::<u32>() as usize % loads.len(),
            Self::RoundRobin => {
                let index = *turn % loads.len();
                *turn = index + 1;
                index
            }
        })
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeastConnection => "least-connection",
            Self::Random => "random",
            Self::RoundRobin => "round-robin",
        })
    }
}

impl FromStr for Balance {
    type Err = UnknownBalance;

    fn from_str(name: &str) -> Result<Self, UnknownBalance> {
        [Self::LeastConnection, Self::Random, Self::RoundRobin]
            .into_iter()
            .find(|method| method.to_string() == name)
            .ok_or(UnknownBalance)
    }
}

/// The text names no [`Balance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownBalance;

impl fmt::Display for UnknownBalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the methods are least-connection, random and round-robin")
    }
}

impl std::error::Error for UnknownBalance {}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(method: Balance, loads: &[u64], count: usize) -> Vec<usize> {
        let mut turn = 0;
        (0..count)
            .map(|_| method.choose(loads, &mut turn).unwrap())
            .collect()
    }

    #[test]
    fn methods_choose_as_the_reference_does() {
        assert_eq!(choices(Balance::LeastConnection, &[3, 1, 1], 2), [1, 1]);
        assert_eq!(choices(Balance::RoundRobin, &[9, 9, 9], 5), [0, 1, 2, 0, 1]);
        let random = choices(Balance::Random, &[0; 4], 4000);
        for worker in 0..4 {
            let count = random.iter().filter(|&&w| w == worker).count();
            assert!((800..1200).contains(&count), "{worker}: {count}");
        }
        for method in [
            Balance::LeastConnection,
            Balance::Random,
            Balance::RoundRobin,
        ] {
            assert_eq!(method.choose(&[], &mut 0), None);
            assert_eq!(method.to_string().parse(), Ok(method));
        }
        assert!("least".parse::<Balance>().is_err());
    }
}
