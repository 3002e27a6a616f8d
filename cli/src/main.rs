//! The `sala` command.

mod bench;
mod log;
mod serve;
mod units;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sala: a Socket.IO server.
#[derive(Parser)]
#[command(name = "sala", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    Bench(Box<bench::Bench>),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(options) => serve::run(*options),
        Command::Bench(options) => bench::run(*options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("sala: {reason}");
            ExitCode::FAILURE
        }
    }
}
