//! A small mutator: the same inputs for the same seed, so that a failure of the tests is found again.

/// The longest input that it makes.
const MAX_LEN: usize = 4096;

/// Numbers at which decoders go wrong.
const INTERESTING: &[u64] = &[
    0,
    1,
    2,
    7,
    8,
    15,
    16,
    125,
    126,
    127,
    128,
    255,
    256,
    1000,
    1004,
    1005,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    (1 << 53) - 1,
    1 << 53,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Text at which decoders go wrong.
const WORDS: &[&str] = &[
    "0",
    "9",
    ":",
    "-",
    "\u{1e}",
    "\u{ff}",
    "\\n",
    "\\\\n",
    "€",
    "😀",
    "b",
    "b4",
    "=",
    "&",
    "%",
    "%0",
    "%ff",
    "+",
    "\"",
    "\\",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    "null",
    "1e9",
    "99999999999999999999",
    "\u{0}",
    "\u{2028}",
    "_placeholder",
    "num",
    "__proto__",
    "sid",
    "EIO=4",
];

/// Makes inputs from seeds.
#[derive(Debug)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// A mutator whose inputs follow from this number alone.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// A xorshift step.
    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `n`; 0 if `n` is 0.
    fn below(&mut self, n: usize) -> usize {
        (self.random() >> 20) as usize % n.max(1)
    }

    /// The next input: one of the seeds with one to eight changes.
    pub fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.pick(seeds).to_vec();
        for _ in 0..=self.below(8) {
            self.change(&mut input, seeds);
        }
        input.truncate(MAX_LEN);
        input
    }

    fn pick<'a>(&mut self, seeds: &'a [Vec<u8>]) -> &'a [u8] {
        match seeds.len() {
            0 => &[],
            n => &seeds[self.below(n)],
        }
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = at + self.below(input.len() - at + 1);
        match self.below(11) {
            0 => flip(input, at, 1 << self.below(8)),
            1 => flip(input, at, self.random() as u8),
            2 => input.truncate(at),
            3 => drop(input.drain(at..end)),
            4 => {
                let copy = input[at..end].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, copy);
            }
            5 => {
                let other = self.pick(seeds).to_vec();
                let from = self.below(other.len() + 1);
                input.splice(at..end, other[from..].iter().copied());
            }
            6 => {
                let number = INTERESTING[self.below(INTERESTING.len())];
                let width = 1 << self.below(4);
                let bytes = number.to_be_bytes();
                overwrite(input, at, &bytes[8 - width..]);
            }
            7 => {
                let word = WORDS[self.below(WORDS.len())];
                input.splice(at..at, word.bytes());
            }
            8 => {
                let word = WORDS[self.below(WORDS.len())];
                overwrite(input, at, word.as_bytes());
            }
            9 => {
                let byte = self.random() as u8;
                let times = 1 << self.below(9);
                input.splice(at..at, std::iter::repeat_n(byte, times));
            }
            _ => {
                let digits = self.random().to_string();
                input.splice(at..end, digits.bytes().take(1 + at % 6));
            }
        }
    }
}

fn flip(input: &mut [u8], at: usize, bits: u8) {
    if let Some(byte) = input.get_mut(at) {
        *byte ^= bits;
    }
}

/// Writes over what is at this place, as far as there is something.
fn overwrite(input: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, from) in input.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}
