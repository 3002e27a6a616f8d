//! The master that sentinels know.

use redis::{ConnectionAddr, ConnectionInfo, Value};
use sala_adapter::{BackendError, BackendErrorKind};

use super::{Connector, Greeting, NoPushes, misconfigured, text_of};
use crate::place::Sentinels;

/// Asks one sentinel after the other for the address of the master.
///
/// A sentinel that was cut off may name the old master; so the server is asked whether it is one.
pub(super) async fn find_master(
    connector: &Connector,
    place: &Sentinels,
) -> Result<ConnectionInfo, BackendError> {
    let mut last = misconfigured("no sentinel was named".to_owned());
    for sentinel in &place.sentinels {
        match ask(connector, place, sentinel.clone()).await {
            Ok(master) => return Ok(master),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask(
    connector: &Connector,
    place: &Sentinels,
    sentinel: ConnectionInfo,
) -> Result<ConnectionInfo, BackendError> {
    let timeout = Some(connector.limits().command_timeout);
    let node = connector
        .connect(sentinel, None::<NoPushes>, timeout)
        .await?;
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(&place.master);
    let reply = node
        .run("asking the sentinel for the master", &question)
        .await?;
    let Some(address) = address(&reply) else {
        let name = &place.master;
        return Err(misconfigured(format!(
            "the sentinel at {} knows no master `{name}`: check the name in the URL",
            node.address
        )));
    };
    let info = at(&place.template, address);
    let master = connector
        .connect(info.clone(), None::<NoPushes>, timeout)
        .await?;
    let hello = master
        .run("asking for the role", redis::cmd("HELLO").arg(3))
        .await?;
    match Greeting::of(&hello).role.as_str() {
        "master" => Ok(info),
        role => Err(BackendError::new(
            BackendErrorKind::Unreachable,
            format!(
                "{} is to be the master `{}` but says it is a {role}: a failover is under way",
                master.address, place.master
            ),
        )),
    }
}

fn address(reply: &Value) -> Option<(String, u16)> {
    match reply {
        Value::Array(items) => match items.as_slice() {
            [host, port] => Some((text_of(host)?.to_owned(), text_of(port)?.parse().ok()?)),
            _ => None,
        },
        _ => None,
    }
}

/// The same settings for another address.
pub(super) fn at(template: &ConnectionInfo, (host, port): (String, u16)) -> ConnectionInfo {
    let addr = match template.addr() {
        ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    template.clone().set_addr(addr)
}
