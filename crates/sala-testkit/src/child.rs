use std::collections::VecDeque;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child as Process, ChildStdin, Command};
use tokio::sync::mpsc;

use crate::daemon::send_signal;
use crate::{within, within_long};

/// How many lines of a process's output are shown when its test fails.
const LOG_LINES: usize = 200;

/// How long a program may take to start: several do so at once on a machine with few cores.
const START: Duration = Duration::from_secs(20);

type Log = Arc<Mutex<VecDeque<String>>>;

/// A server process of one test: started on a free port, killed when dropped.
///
/// Its output is kept and printed if the test fails.
#[derive(Debug)]
pub struct Child {
    process: Process,
    stdin: Option<ChildStdin>,
    lines: mpsc::UnboundedReceiver<String>,
    addresses: Vec<SocketAddr>,
    log: Log,
}

/// What to start; see [`Child::command`].
#[derive(Debug)]
pub struct ChildBuilder {
    command: Command,
    listeners: usize,
}

impl ChildBuilder {
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Runs the process in this folder.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Waits for this many `listening on …` lines; default 1, and 0 for programs that serve nobody.
    #[must_use]
    pub fn listeners(mut self, count: usize) -> Self {
        self.listeners = count;
        self
    }

    /// Starts the process and waits until it listens.
    ///
    /// # Panics
    ///
    /// When it cannot be started or does not become ready in time.
    pub async fn start(mut self) -> Child {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut process = match self.command.spawn() {
            Ok(process) => process,
            Err(error) => panic!(
                "cannot start {:?}: {error}",
                self.command.as_std().get_program()
            ),
        };
        let log = Log::default();
        let (sender, lines) = mpsc::unbounded_channel();
        let stdout = process.stdout.take().expect("stdout is piped");
        let stderr = process.stderr.take().expect("stderr is piped");
        let stdin = process.stdin.take();
        tokio::spawn(follow(stdout, log.clone(), Some(sender)));
        tokio::spawn(follow(stderr, log.clone(), None));
        let mut child = Child {
            process,
            stdin,
            lines,
            addresses: Vec::new(),
            log,
        };
        within_long(
            START,
            "the server to listen",
            child.become_ready(self.listeners),
        )
        .await;
        child
    }
}

impl Child {
    /// Prepares to start `program`. `PORT` and `ENGINE_PORT` are set to 0: any free port.
    pub fn command(program: impl AsRef<OsStr>) -> ChildBuilder {
        let mut command = Command::new(program);
        command.env("PORT", "0").env("ENGINE_PORT", "0");
        ChildBuilder {
            command,
            listeners: 1,
        }
    }

    async fn become_ready(&mut self, listeners: usize) {
        while self.addresses.len() < listeners {
            let Some(line) = self.lines.recv().await else {
                panic!("the server ended before it listened");
            };
            if let Some(address) = ready_address(&line) {
                self.addresses.push(address);
            }
        }
    }

    /// Where the process listens; the first of its addresses.
    ///
    /// # Panics
    ///
    /// When it serves nobody.
    pub fn addr(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All addresses, in the order in which they were announced.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// The next line on stdout after the announcement, or `None` at its end. Cancel safe.
    pub async fn line(&mut self) -> Option<String> {
        self.lines.recv().await
    }

    /// Writes one line to stdin.
    ///
    /// # Panics
    ///
    /// When the process no longer reads.
    pub async fn write_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is piped");
        let sent = async {
            stdin.write_all(line.as_bytes()).await?;
            stdin.write_all(b"\n").await?;
            stdin.flush().await
        };
        if let Err(error) = within("the server to read a command", sent).await {
            panic!("the server does not read commands any more: {error}");
        }
    }

    /// Whether the process has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Waits for the end of the process.
    pub async fn exit(&mut self) -> ExitStatus {
        self.process
            .wait()
            .await
            .expect("the process can be waited for")
    }

    /// Asks the process to stop (SIGTERM).
    pub async fn terminate(&self) {
        self.signal("TERM").await;
    }

    /// Ends the process at once (SIGKILL) and waits until it is gone.
    ///
    /// # Panics
    ///
    /// When it cannot be killed.
    pub async fn kill(&mut self) {
        let killed = self.process.kill().await;
        killed.expect("a process of one's own can be killed");
    }

    /// Sends a signal, by its name without `SIG`; nothing happens once the process has ended.
    ///
    /// # Panics
    ///
    /// When it cannot be sent.
    pub async fn signal(&self, name: &str) {
        if let Some(id) = self.process.id() {
            send_signal(id, name).await;
        }
    }

    /// The last lines of stdout and stderr.
    pub fn log(&self) -> String {
        let log = self.log.lock().expect("no panic while the log is held");
        log.iter().map(|line| format!("{line}\n")).collect()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- output of the server ---\n{}---", self.log());
        }
    }
}

/// Finds `http://address:port` in a `listening on …` line.
fn ready_address(line: &str) -> Option<SocketAddr> {
    let rest = line.strip_prefix("listening on ")?;
    let rest = rest
        .trim()
        .trim_start_matches("http://")
        .trim_end_matches('/');
    rest.split_whitespace().next()?.parse().ok()
}

async fn follow(
    stream: impl AsyncRead + Unpin,
    log: Log,
    lines: Option<mpsc::UnboundedSender<String>>,
) {
    let mut reader = BufReader::new(stream).lines();
    while let Ok(Some(line)) = reader.next_line().await {
        {
            let mut log = log.lock().expect("no panic while the log is held");
            if log.len() == LOG_LINES {
                log.pop_front();
            }
            log.push_back(line.chars().take(500).collect());
        }
        if let Some(lines) = &lines {
            // Nobody listens any more once the test has dropped the child.
            if lines.send(line).is_err() {
                return;
            }
        }
    }
}
