//! Carries out one operation a number of times, for a tool that counts what that takes.
//!
//! `instruction-counts NAME TIMES`. Without arguments it lists the names.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, times] = &args[..] else {
        let mut out = std::io::stdout().lock();
        let written = sala_benches::operations().try_for_each(|it| writeln!(out, "{}", it.name));
        return if written.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    };
    let (Some(operation), Ok(times)) = (sala_benches::find(name), times.parse::<u32>()) else {
        eprintln!("usage: instruction-counts [NAME TIMES]");
        return ExitCode::FAILURE;
    };
    let mut run = operation.prepare();
    for _ in 0..times {
        run();
    }
    ExitCode::SUCCESS
}
