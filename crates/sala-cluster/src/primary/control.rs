//! Orders from the command line: a line in, lines out, over a Unix socket.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::{PrimaryError, Shared};

/// The longest order.
const MAX_ORDER: u64 = 256;
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the listener rests when the process is out of file descriptors.
const PAUSE: Duration = Duration::from_millis(500);

/// Listens for orders. A socket that a dead primary left behind is replaced.
pub(crate) fn bind(path: &Path) -> Result<UnixListener, PrimaryError> {
    let failed = |source| PrimaryError::Listen {
        address: path.display().to_string(),
        source,
    };
    if is_left_behind(path) {
        fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Whether there is a socket at which nobody answers. Anything else is not ours to remove.
fn is_left_behind(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket
        && std::os::unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

pub(crate) async fn serve(shared: Arc<Shared>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    // Whoever asked has gone.
                    answer(&shared, stream).await.ok();
                });
            }
            Err(error) => {
                tracing::error!(%error, "orders cannot be taken at the moment");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(shared: &Shared, mut stream: UnixStream) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    let peer = stream.peer_cred()?.uid();
    if peer != own && peer != 0 {
        return stream.write_all(b"error: not your primary\n").await;
    }
    let (read, mut write) = stream.split();
    let mut order = String::new();
    let mut read = BufReader::new(read.take(MAX_ORDER));
    tokio::time::timeout(TIMEOUT, read.read_line(&mut order)).await??;
    match order.trim_end() {
        "reload" => {
            let (sender, mut lines) = mpsc::channel(16);
            if shared.reload.send(Some(sender)).await.is_err() {
                return write.write_all(b"error: the primary is ending\n").await;
            }
            while let Some(line) = lines.recv().await {
                write.write_all(format!("{line}\n").as_bytes()).await?;
            }
            Ok(())
        }
        "status" => write.write_all(status(shared).as_bytes()).await,
        _ => {
            write
                .write_all(b"error: the orders are reload and status\n")
                .await
        }
    }
}

fn status(shared: &Shared) -> String {
    let relay = shared.relay.stats();
    let mut text = String::new();
    for load in shared.table.loads() {
        text += &format!(
            "worker {} {} sessions {}\n",
            load.worker,
            if load.open { "open" } else { "closed" },
            load.sessions
        );
    }
    text += &format!(
        "relayed {} dropped {} malformed {} unserved {} out-of-files {}\nok\n",
        relay.relayed,
        relay.dropped,
        relay.malformed + shared.malformed.load(std::sync::atomic::Ordering::Relaxed),
        shared.unserved.count(),
        shared.out_of_files.count(),
    );
    text
}

/// Gives an order to a running primary (`reload` or `status`) and hands each line of its answer to
/// `show`, as it comes.
///
/// # Errors
///
/// If nobody listens there, or the primary answers that it failed.
pub async fn order(path: &Path, order: &str, mut show: impl FnMut(&str)) -> io::Result<()> {
    let mut stream = UnixStream::connect(path).await?;
    stream.write_all(format!("{order}\n").as_bytes()).await?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await? {
        match line.strip_prefix("error: ") {
            Some(why) => return Err(io::Error::other(why.to_owned())),
            None if line == "ok" => return Ok(()),
            None => show(&line),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the primary ended before it was done",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mistyped `--control` deleted the file that it named.
    #[tokio::test]
    async fn only_a_socket_at_which_nobody_answers_is_replaced() {
        let folder = std::env::temp_dir().join(format!("sala-control-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("control");
        fs::write(&path, "precious").unwrap();
        bind(&path).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(&path).unwrap();

        let first = bind(&path).unwrap();
        bind(&path).unwrap_err();
        drop(first);
        bind(&path).unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }
}
