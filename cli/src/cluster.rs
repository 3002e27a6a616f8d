//! `sala cluster`: many processes behind one port.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use sala_cluster::{Balance, Forwarding, Network, Primary, PrimaryError, Retention, order};

use crate::listen::{Listen, Proxies};
use crate::log::Log;
use crate::units::{bytes, duration};

/// Run several processes behind one port, and replace them without losing a message.
///
/// Starts the workers, restarts those that die, and sends every request of a client to the worker
/// that has its session. SIGHUP, or `sala cluster reload`, replaces the workers one by one: for a new
/// version of the program, install it and reload.
///
/// A worker is a program that uses the crate `sala-cluster`; without one, `sala serve`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    order: Option<Order>,

    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Order {
    /// Replace the workers of a running primary one by one
    Reload(Running),
    /// Show the workers of a running primary
    Status(Running),
}

#[derive(Args)]
struct Running {
    /// Where the primary takes orders, as it was given to it
    #[arg(long, env = "SALA_CONTROL", value_name = "PATH")]
    control: PathBuf,
}

#[derive(Args)]
struct Run {
    /// How many workers; one for each core if left out
    #[arg(short, long, env = "SALA_WORKERS", value_name = "COUNT")]
    workers: Option<usize>,

    #[command(flatten)]
    listen: Listen,

    /// Listen on the sockets that systemd passes, instead of --host and --port
    #[arg(long, env = "SALA_SOCKET_ACTIVATION")]
    socket_activation: bool,

    /// Which worker gets a new client: least-connection, random or round-robin
    #[arg(long, env = "SALA_BALANCE", value_name = "METHOD", default_value_t)]
    balance: Balance,

    /// How connections reach the workers: descriptor (they are passed on) or proxy (the primary copies)
    #[arg(long, env = "SALA_FORWARDING", value_name = "WAY", default_value_t)]
    forwarding: Forwarding,

    /// How long a worker that is replaced may take before it is killed
    #[arg(long, env = "SALA_GRACE", value_name = "DURATION", default_value = "30s", value_parser = duration)]
    grace: Duration,

    /// Over which time such a worker lets go of its clients
    #[arg(long, env = "SALA_SPREAD", value_name = "DURATION", default_value = "1s", value_parser = duration)]
    spread: Duration,

    /// After which silence a worker counts as hanging, and is killed
    #[arg(long, env = "SALA_HANG_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = duration)]
    hang_timeout: Duration,

    /// How long a client may be away and still get what it missed, from any worker; 0s turns it off
    #[arg(long, env = "SALA_RECOVERY", value_name = "DURATION", default_value = "2m", value_parser = duration)]
    recovery: Duration,

    /// Bytes of messages kept for those who are away, for each namespace
    #[arg(long, env = "SALA_RECOVERY_BYTES", value_name = "BYTES", default_value = "32MiB", value_parser = bytes)]
    recovery_bytes: usize,

    /// Balancers whose connections begin with a header of the PROXY protocol, such as 10.0.0.0/8
    #[arg(
        long,
        env = "SALA_PROXY_PROTOCOL",
        value_name = "LIST",
        value_delimiter = ','
    )]
    proxy_protocol: Vec<Network>,

    #[command(flatten)]
    proxies: Proxies,

    /// Where to take the orders `reload` and `status`: a path for a Unix socket
    #[arg(long, env = "SALA_CONTROL", value_name = "PATH")]
    control: Option<PathBuf>,

    #[command(flatten)]
    log: Log,

    /// The program of the workers, and its arguments, after `--`
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs until Ctrl-C or SIGTERM, or until the order is carried out.
pub(crate) fn run(options: Cluster) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    runtime.spawn(sala_memory::give_back());
    runtime.block_on(async {
        match options.order {
            Some(Order::Reload(running)) => tell(running, "reload").await,
            Some(Order::Status(running)) => tell(running, "status").await,
            None => lead(options.run).await,
        }
    })
}

#[expect(clippy::print_stdout, reason = "the lines are the command's output")]
async fn tell(running: Running, what: &str) -> Result<(), String> {
    let path = running.control;
    order(&path, what, |line| println!("{line}"))
        .await
        .map_err(|error| {
            let advice = "is a primary running with this --control?";
            match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                    format!("nobody listens at {}: {advice}", path.display())
                }
                _ => error.to_string(),
            }
        })
}

#[expect(clippy::print_stdout, reason = "the line is the command's output")]
async fn lead(options: Run) -> Result<(), String> {
    options.log.start();
    let bound = primary(options)?.bind().map_err(explain)?;
    for address in bound.addresses() {
        println!("listening on http://{address}");
    }
    bound.run().await.map_err(explain)
}

/// The primary that the options describe.
fn primary(options: Run) -> Result<Primary, String> {
    let mut primary = Primary::new()
        .balance(options.balance)
        .forwarding(options.forwarding)
        .grace(options.grace)
        .spread(options.spread)
        .hang_timeout(options.hang_timeout)
        .proxy_protocol(options.proxy_protocol)
        .trusted_proxies(options.proxies.trusted_proxies);
    if let Some(workers) = options.workers {
        primary = primary.workers(workers);
    }
    if !options.socket_activation {
        primary = primary.listen(format!("{}:{}", options.listen.host, options.listen.port));
    }
    if !options.recovery.is_zero() {
        let retention = Retention::default()
            .max_disconnection_duration(options.recovery)
            .max_packet_bytes(options.recovery_bytes);
        primary = primary.recovery(retention);
    }
    if let Some(path) = options.control {
        primary = primary.control(path);
    }
    Ok(match options.command.split_first() {
        Some((program, arguments)) => primary.program(program, arguments),
        None => {
            let this = std::env::current_exe()
                .map_err(|error| format!("cannot find this program: {error}"))?;
            primary.program(this, ["serve"])
        }
    })
}

fn explain(error: PrimaryError) -> String {
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
