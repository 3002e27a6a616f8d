//! The `sala` command.

mod bench;
#[cfg(target_os = "linux")]
mod cluster;
mod emit;
mod listen;
mod log;
mod serve;
mod units;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: sala_memory::Allocator = sala_memory::Allocator;

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
    #[cfg(target_os = "linux")]
    Cluster(Box<cluster::Cluster>),
    Bench(Box<bench::Bench>),
    Emit(Box<emit::Emit>),
    Join(Box<emit::Join>),
    Leave(Box<emit::Leave>),
    Disconnect(Box<emit::Disconnect>),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(options) => serve::run(*options),
        #[cfg(target_os = "linux")]
        Command::Cluster(options) => cluster::run(*options),
        Command::Bench(options) => bench::run(*options),
        Command::Emit(options) => emit::emit(*options),
        Command::Join(options) => emit::join(*options),
        Command::Leave(options) => emit::leave(*options),
        Command::Disconnect(options) => emit::disconnect(*options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("sala: {reason}");
            ExitCode::FAILURE
        }
    }
}
