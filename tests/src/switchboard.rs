//! One address in front of several services, which holds the pushes of a race until all runners are at the line.
//!
//! A connection stays with the service that was chosen when it was made.

use std::io::{BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::relay::read_message;

/// How long a runner may take to come to the line.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running switchboard. Its threads end with the connections and with the program.
#[derive(Debug)]
pub struct Switchboard {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    line: Mutex<Line>,
    moved: Condvar,
}

#[derive(Debug)]
struct Line {
    chosen: SocketAddr,
    held: bool,
    waiting: usize,
}

impl Switchboard {
    /// Listens on a free port of the loopback address. New connections go to `service`, a `http://` address.
    ///
    /// # Errors
    /// When the address is none or no port is free.
    pub fn start(service: &str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen for connections to switch")?;
        let address = listener.local_addr().context("read the switchboard's address")?;
        let line = Line {
            chosen: parse(service)?,
            held: false,
            waiting: 0,
        };
        let shared = Arc::new(Shared {
            line: Mutex::new(line),
            moved: Condvar::new(),
        });
        let switch = Arc::clone(&shared);
        thread::spawn(move || {
            for device in listener.incoming().flatten() {
                let shared = Arc::clone(&switch);
                // An end that goes away ends this connection only.
                thread::spawn(move || shared.relay(device).ok());
            }
        });
        Ok(Self { address, shared })
    }

    /// Where devices reach the services through this.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Chooses the service of new connections.
    ///
    /// # Errors
    /// When the address is none.
    pub fn choose(&self, service: &str) -> Result<()> {
        self.shared.lock().chosen = parse(service)?;
        Ok(())
    }

    /// Holds every push from now on.
    pub fn hold_pushes(&self) {
        self.shared.lock().held = true;
    }

    /// Waits until this many pushes are held.
    ///
    /// # Errors
    /// When they do not come within a minute.
    pub fn wait_for_pushes(&self, count: usize) -> Result<()> {
        let line = self.shared.lock();
        let (line, _) = self
            .shared
            .moved
            .wait_timeout_while(line, PATIENCE, |line| line.waiting < count)
            .unwrap_or_else(PoisonError::into_inner);
        ensure!(
            line.waiting >= count,
            "{} of {count} pushes came to the line",
            line.waiting
        );
        Ok(())
    }

    /// Lets all held pushes go at once, and holds no further ones.
    pub fn release(&self) {
        self.shared.lock().held = false;
        self.shared.moved.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn relay(&self, mut device: TcpStream) -> Result<()> {
        let chosen = self.lock().chosen;
        let mut service = TcpStream::connect(chosen).context("reach the service")?;
        let mut requests = BufReader::new(device.try_clone()?);
        let mut answers = BufReader::new(service.try_clone()?);
        while let Some(request) = read_message(&mut requests)? {
            if request.starts_with(b"POST /v1/sync/push ") {
                self.stand_in_line();
            }
            service.write_all(&request)?;
            let answer = read_message(&mut answers)?.context("the service ended the connection")?;
            device.write_all(&answer)?;
        }
        Ok(())
    }

    fn stand_in_line(&self) {
        let mut line = self.lock();
        line.waiting += 1;
        self.moved.notify_all();
        let released = self.moved.wait_while(line, |line| line.held);
        released.unwrap_or_else(PoisonError::into_inner).waiting -= 1;
    }
}

fn parse(service: &str) -> Result<SocketAddr> {
    service
        .trim_start_matches("http://")
        .parse()
        .context("read the service's address")
}
