//! The gate: no operation of a codec may take over 5 % more instructions than `baseline.json` says.
//!
//! The counts come from callgrind and are the same on every run, unlike times. They depend on the
//! compiler and a little on the C library, on a processor's features hardly: valgrind shows every
//! program the same one, as long as the real one has AVX2.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use sala_benches::operations;
use serde::{Deserialize, Serialize};

/// What may be above or below the baseline, in percent.
const TOLERANCE: u64 = 5;

/// How often each operation is carried out while it is counted.
const TIMES: u64 = 100;

const UPDATE: &str = "SALA_UPDATE_BASELINE=1 cargo nextest run -p sala-benches --test instructions";

/// Large copies are otherwise one instruction that callgrind counts once for each byte.
const TUNABLES: &str = "glibc.cpu.x86_rep_movsb_threshold=4294967295:\
                        glibc.cpu.x86_rep_stosb_threshold=4294967295";

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Baseline {
    /// The compiler it was made with.
    rustc: String,
    /// Instructions per operation.
    instructions: BTreeMap<String, u64>,
}

#[test]
fn no_codec_operation_takes_more_instructions_than_its_baseline() {
    if std::env::var("SALA_SKIP_VALGRIND").is_ok_and(|value| value == "1") {
        eprintln!("skipped because SALA_SKIP_VALGRIND=1");
        return;
    }
    if !comparable_machine() {
        eprintln!("skipped: the baseline is for x86-64 Linux with AVX2");
        return;
    }
    let program = build();
    let now = Baseline {
        rustc: rustc_version(),
        instructions: count_all(&program),
    };
    if std::env::var("SALA_UPDATE_BASELINE").is_ok_and(|value| value == "1") {
        let text = serde_json::to_string_pretty(&now).expect("a baseline is JSON");
        fs::write(baseline_path(), text + "\n").expect("the baseline can be written");
    }
    let text = fs::read_to_string(baseline_path()).expect("there is a baseline");
    let old: Baseline = serde_json::from_str(&text).expect("the baseline is JSON");
    let Comparison { worse, notes } = compare(&old, &now);
    eprint!("{notes}");
    assert!(worse.is_empty(), "{}", complaint(&worse, &old, &now));
}

#[test]
fn a_comparison_complains_of_more_and_notes_less() {
    let baseline = |counts: &[(&str, u64)]| Baseline {
        rustc: "rustc 1".to_owned(),
        instructions: counts
            .iter()
            .map(|&(name, count)| (name.to_owned(), count))
            .collect(),
    };
    let old = baseline(&[
        ("better", 1000),
        ("equal", 1000),
        ("gone", 1),
        ("worse", 1000),
    ]);
    let now = baseline(&[
        ("better", 949),
        ("equal", 1050),
        ("new", 1),
        ("worse", 1051),
    ]);
    let Comparison { worse, notes } = compare(&old, &now);
    for (part, missing) in [("worse", "equal"), ("gone", "better"), ("new", "equal")] {
        assert!(worse.contains(part) && !worse.contains(missing), "{worse}");
    }
    assert!(worse.contains("1000") && worse.contains("1051"), "{worse}");
    assert!(
        notes.contains("better") && notes.contains(UPDATE),
        "{notes}"
    );
    let text = complaint(&worse, &old, &now);
    assert!(text.contains(UPDATE), "{text}");
}

/// What a comparison found, a line for each operation.
struct Comparison {
    worse: String,
    notes: String,
}

fn compare(old: &Baseline, now: &Baseline) -> Comparison {
    let (mut worse, mut notes) = (String::new(), String::new());
    for (name, &count) in &now.instructions {
        let Some(&before) = old.instructions.get(name) else {
            worse += &format!("  {name}: not in the baseline, now {count}\n");
            continue;
        };
        let percent = (count as f64 / before as f64 - 1.0) * 100.0;
        let line = format!("  {name}: was {before}, now {count} ({percent:+.1} %)\n");
        if count * 100 > before * (100 + TOLERANCE) {
            worse += &line;
        } else if count * 100 < before * (100 - TOLERANCE) {
            notes += &line;
        }
    }
    for name in old
        .instructions
        .keys()
        .filter(|name| !now.instructions.contains_key(*name))
    {
        worse += &format!("  {name}: in the baseline, but no operation any more\n");
    }
    if !notes.is_empty() {
        notes = format!("fewer instructions than the baseline:\n{notes}keep that: {UPDATE}\n");
    }
    Comparison { worse, notes }
}

fn complaint(worse: &str, old: &Baseline, now: &Baseline) -> String {
    let mut text = format!("more instructions per operation than the baseline:\n{worse}");
    if old.rustc != now.rustc {
        let _ = writeln!(
            text,
            "the baseline is by {}, this is {}",
            old.rustc, now.rustc
        );
    }
    text + &format!("if that is intended: {UPDATE}")
}

fn count_all(program: &Path) -> BTreeMap<String, u64> {
    let names = Mutex::new(operations().map(|operation| operation.name));
    let counts = Mutex::new(BTreeMap::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (names, counts) = (&names, &counts);
            scope.spawn(move || {
                let report = scratch().join(format!("callgrind.{worker}.out"));
                while let Some(name) = next(names) {
                    let once = count(program, name, 0, &report);
                    let more = count(program, name, TIMES, &report);
                    let each = (more - once).div_ceil(TIMES);
                    counts
                        .lock()
                        .expect("no worker panicked")
                        .insert(name.to_owned(), each);
                }
            });
        }
    });
    counts.into_inner().expect("no worker panicked")
}

fn next<I: Iterator>(names: &Mutex<I>) -> Option<I::Item> {
    names.lock().expect("no worker panicked").next()
}

/// The instructions of a whole run of the program.
fn count(program: &Path, name: &str, times: u64, report: &Path) -> u64 {
    let mut option = std::ffi::OsString::from("--callgrind-out-file=");
    option.push(report);
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(option)
        .arg(program)
        .args([name, &times.to_string()])
        // The environment lies on the stack of the program.
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("GLIBC_TUNABLES", TUNABLES)
        .output();
    expect_success(
        "valgrind",
        output.as_ref().expect("valgrind was found before"),
    );
    let report = fs::read_to_string(report).expect("callgrind has written its report");
    let total = report
        .lines()
        .find_map(|line| line.strip_prefix("totals: "));
    total
        .and_then(|total| total.trim().parse().ok())
        .expect("callgrind's report has totals")
}

/// Builds the program that carries out the operations, in its own profile and without the flags of
/// this build, such as those for coverage.
fn build() -> PathBuf {
    match Command::new("valgrind").arg("--version").output() {
        Ok(output) => expect_success("valgrind --version", &output),
        Err(error) => panic!(
            "valgrind is needed to count instructions ({error}): install it (Debian: `apt-get \
             install valgrind`), or set SALA_SKIP_VALGRIND=1 to do without this test"
        ),
    }
    let target = scratch()
        .parent()
        .expect("the scratch folder is in the target folder");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let wrapper = text.starts_with("RUSTC_W") || text.starts_with("CARGO_BUILD_RUSTC_W");
        if wrapper || text.starts_with("CARGO_PROFILE_") {
            command.env_remove(name);
        }
    }
    let output = command
        .args([
            "build",
            "--profile=counts",
            "--bin=instruction-counts",
            "--offline",
        ])
        .arg("--message-format=json-render-diagnostics")
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .env("CARGO_ENCODED_RUSTFLAGS", "") // comes before all other ways to say flags
        .output()
        .expect("cargo runs");
    expect_success("cargo build", &output);
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo tells what it has built")
}

fn rustc_version() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .arg("--version")
        .output()
        .expect("rustc runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn expect_success(what: &str, output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what} failed:\n{errors}");
}

fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn baseline_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.json")
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn comparable_machine() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
fn comparable_machine() -> bool {
    false
}
