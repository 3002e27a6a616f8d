use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
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
    port: u16,
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
            let (port, folder) = (free_port(), Folder::new());
            let mut daemon = Self {
                program: program.as_ref().to_owned(),
                args: args(port, &folder),
                port,
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
        self.port
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
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
                if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
                    .await
                    .is_ok()
                {
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
    find_program(program).unwrap_or_else(|| {
        panic!("{program:?} is not installed; run scripts/setup-tests.sh");
    })
}

/// The path of a program, if it is installed.
pub fn find_program(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program.as_ref()))
        .find(|file| file.is_file())
}

/// A port that is free, and whose twin 10,000 above is free as well (a node of a Redis Cluster takes both).
///
/// Both lie below the ports that the system gives to outgoing connections, so that a server that was killed
/// finds its port free again.
fn free_port() -> u16 {
    let free = |port: &u16| {
        [*port, *port + 10_000]
            .iter()
            .all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
    };
    std::iter::repeat_with(|| 11_000 + (random() % 11_000) as u16)
        .take(100)
        .find(free)
        .expect("a port is free")
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
