//! What is logged, and how.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

#[derive(Args)]
#[command(next_help_heading = "Logging")]
pub(crate) struct Log {
    /// error, warn, info, debug or trace; or by module, such as `warn,sala_engine=debug`
    #[arg(
        long,
        env = "SALA_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    log_level: Targets,

    /// How a line looks
    #[arg(
        long,
        env = "SALA_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Log {
    /// Sends all events to stderr from now on.
    pub(crate) fn start(&self) {
        let layer = fmt::layer().with_writer(std::io::stderr);
        let layer = match self.log_format {
            Format::Text => layer.with_ansi(std::io::stderr().is_terminal()).boxed(),
            Format::Json => layer.json().boxed(),
        };
        registry()
            .with(layer.with_filter(self.log_level.clone()))
            .init();
    }
}
