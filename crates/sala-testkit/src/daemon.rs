use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::Command;

use crate::folder::{Folder, random};
use crate::{Child, within};

/// How often a server is started on another port when somebody took the one that was free a moment ago.
const ATTEMPTS: usize = 5;

/// How long to wait between two looks at a server that is not ready yet.
pub(crate) const SHORTLY: Duration = Duration::from_millis(10);

/// A private server of one test: a program of others, on a free port of the loopback, with a folder of its own.
///
/// It is killed when dropped and when the thread that started it ends, whatever way that happens. It may be
/// killed and started again with the same port and the same data. Its output is shown if the test fails.
#[derive(Debug)]
pub struct Daemon {
    program: OsString,
    args: Vec<OsString>,
    ports: Ports,
    child: Option<Child>,
    folder: Folder,
}

impl Daemon {
    /// Starts `program` with the arguments that `args` makes from a free port and the folder to run in, and waits
    /// until it takes connections on that port.
    ///
    /// # Panics
    ///
    /// When it is not installed or does not start.
    pub async fn start(
        program: impl AsRef<OsStr>,
        args: impl Fn(u16, &Folder) -> Vec<OsString>,
    ) -> Self {
        for _ in 0..ATTEMPTS {
            let (ports, folder) = (Ports::free(), Folder::new());
            let mut daemon = Self {
                program: program.as_ref().to_owned(),
                args: args(ports.first, &folder),
                ports,
                child: None,
                folder,
            };
            if daemon.launch().await {
                return daemon;
            }
        }
        panic!("{:?} does not start on any port", program.as_ref());
    }

    /// The port on which it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.ports.first
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.first).into()
    }

    /// The folder in which it runs.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Kills it at once, as a crash would (SIGKILL), and waits until it is gone.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await;
        }
    }

    /// Starts it again after [`kill`](Self::kill), on the same port with the same data, and waits until it takes
    /// connections.
    ///
    /// # Panics
    ///
    /// When it runs or does not start.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "the server runs already");
        assert!(self.launch().await, "{:?} does not start", self.program);
    }

    /// Stops it where it is (SIGSTOP): connections stay open and nothing answers, as in a partition.
    pub async fn freeze(&self) {
        self.running().signal("STOP").await;
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub async fn thaw(&self) {
        self.running().signal("CONT").await;
    }

    fn running(&self) -> &Child {
        self.child.as_ref().expect("the server runs")
    }

    /// Whether it came up; it ends by itself when the port is taken.
    async fn launch(&mut self) -> bool {
        let program = which(&self.program);
        // No process outlives the test, even one whose test was killed.
        let child = Child::command("setpriv")
            .arg("--pdeathsig")
            .arg("KILL")
            .arg("--")
            .arg(program)
            .args(&self.args)
            .folder(self.folder.path())
            .listeners(0);
        let mut child = child.start().await;
        let up = within("a server to take connections", async {
            loop {
                if !child.is_running() {
                    return false;
                }
                if TcpStream::connect(self.addr()).await.is_ok() {
                    // Somebody else may listen there.
                    return child.is_running();
                }
                tokio::time::sleep(SHORTLY).await;
            }
        });
        let up = up.await;
        self.child = up.then_some(child);
        up
    }
}

/// Finds an installed program.
///
/// # Panics
///
/// When it is missing: a test that was not run must not pass.
fn which(program: &OsStr) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!(
                "{} is not installed; run scripts/setup-tests.sh",
                program.display()
            )
        })
}

/// A port that is free, and its twin 10,000 above (a node of a Redis Cluster takes both), which no other test gets
/// while this exists.
///
/// Both lie below the ports that the system gives to outgoing connections, so that a server that was killed
/// finds its port free again.
#[derive(Debug)]
struct Ports {
    first: u16,
    _held: [UnixListener; 2],
}

impl Ports {
    fn free() -> Self {
        std::iter::repeat_with(|| 11_000 + (random() % 11_000) as u16)
            .take(100)
            .find_map(Self::hold)
            .expect("a port is free")
    }

    fn hold(first: u16) -> Option<Self> {
        let _held = [hold(first)?, hold(first + 10_000)?];
        Some(Self { first, _held })
    }
}

/// Holds a port against other tests, by a name that exists once on a machine and ends with the process; none if it
/// is held, or if somebody listens there.
fn hold(port: u16) -> Option<UnixListener> {
    let name = UnixAddr::from_abstract_name(format!("port {port} of sala-testkit")).ok()?;
    let held = UnixListener::bind_addr(&name).ok()?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    Some(held)
}

/// Sends a signal to a process.
pub(crate) async fn send_signal(id: u32, signal: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(id.to_string())
        .stdin(Stdio::null())
        .status()
        .await;
    assert!(
        sent.is_ok_and(|status| status.success()),
        "cannot send SIG{signal}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tests found the same port free at the same time. The Redis of the second could not listen there, but before
    /// it had ended the test was connected: to the Redis of the first.
    #[test]
    fn a_port_is_given_out_once() {
        let ports = Ports::free();
        assert!(Ports::hold(ports.first).is_none());
        let twin = ports.first + 10_000;
        assert!(Ports::hold(twin).is_none());
        let first = ports.first;
        drop(ports);
        assert!(Ports::hold(first).is_some());
    }
}
