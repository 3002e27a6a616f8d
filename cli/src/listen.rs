//! What `sala serve` and `sala cluster` have in common: where to listen, and who stands in front.

use clap::Args;
use sala::engine::Network;

/// Where a server, or a primary, listens.
#[derive(Args)]
pub(crate) struct Listen {
    /// Address to listen on; 0.0.0.0 for all of this machine's
    #[arg(
        long,
        env = "SALA_HOST",
        value_name = "ADDRESS",
        default_value = "127.0.0.1"
    )]
    pub(crate) host: String,

    /// Port to listen on; 0 for any free one
    #[arg(short, long, env = "PORT", default_value_t = 3000)]
    pub(crate) port: u16,
}

/// Who stands in front.
#[derive(Args)]
pub(crate) struct Proxies {
    /// Proxies in front whose X-Forwarded-For is believed, such as 127.0.0.1 or 10.0.0.0/8
    #[arg(
        long,
        env = "SALA_TRUSTED_PROXIES",
        value_name = "LIST",
        value_delimiter = ','
    )]
    pub(crate) trusted_proxies: Vec<Network>,
}
