//! Runs each target on its seeds and on a fixed number of inputs made from them.
//!
//! `SALA_FUZZ_ROUNDS` changes the number, `SALA_FUZZ_SEED` the inputs.

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use sala_fuzz::mutate::Mutator;
use sala_fuzz::{TARGETS, target};

/// So many that all targets together take a few seconds in a debug build.
const ROUNDS: u64 = 20_000;

/// These make compression contexts for each input, which takes long in a debug build: a fifth is run.
const SLOW: &[&str] = &["ws_reader_deflate", "ws_deflate_round_trip"];

fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value.map_or(default, |value| value.parse().expect("a number"))
}

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let directory = directory("corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("the directory can be read").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{name} has no seeds");
    files
        .iter()
        .map(|file| fs::read(file).expect("the seed can be read"))
        .collect()
}

fn run(name: &str) {
    let target = target(name).expect("the target is in the table");
    let seeds = seeds(name);
    let try_input = |input: &[u8]| {
        let result = panic::catch_unwind(AssertUnwindSafe(|| target(input)));
        assert!(
            result.is_ok(),
            "{name} fails on b\"{}\"",
            input.escape_ascii()
        );
    };
    try_input(&[]);
    seeds.iter().for_each(|seed| try_input(seed));
    let mut mutator = Mutator::new(number("SALA_FUZZ_SEED", 1));
    let share = if SLOW.contains(&name) { 5 } else { 1 };
    for _ in 0..number("SALA_FUZZ_ROUNDS", ROUNDS) / share {
        try_input(&mutator.input(&seeds));
    }
}

/// One test for each target, so that they run at the same time.
macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        const RUN_HERE: &[&str] = &[$(stringify!($name)),*];
    };
}

targets! {
    packet_text packet_binary payload_v4 payload_v3 payload_v3_binary jsonp jsonp_post query
    ws_handshake ws_reader ws_reader_deflate ws_deflate_round_trip http_head http_chunked
    json_assembler msgpack cluster_message cluster_event classic_broadcast classic_request classic_response streams_entry streams_session
    channel_frames node_messages v8_clone first_line proxy_header
}

#[test]
fn every_target_runs_here_and_has_an_entry_point_for_libfuzzer() {
    let manifest = fs::read_to_string(directory("libfuzzer").join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(RUN_HERE.contains(name), "{name} is not in this file");
        let file = format!("fuzz_targets/{name}.rs");
        let source = fs::read_to_string(directory(&file)).unwrap();
        assert!(
            source.contains(&format!("\"{name}\"")),
            "{file} runs another target"
        );
        assert!(
            manifest.contains(&file),
            "libfuzzer/Cargo.toml lacks {name}"
        );
    }
}

#[test]
fn the_mutator_repeats_itself_for_the_same_seed() {
    let seeds = [b"4hello".to_vec(), b"6:4hello".to_vec()];
    let inputs = |seed| {
        let mut mutator = Mutator::new(seed);
        let inputs: Vec<_> = (0..100).map(|_| mutator.input(&seeds)).collect();
        inputs
    };
    assert_eq!(inputs(3), inputs(3));
    assert_ne!(inputs(3), inputs(4));
}
