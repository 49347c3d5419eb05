//! A relay between a device and the service, which keeps each exchange as it was sent and may change a request or end the connection after one.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, ensure};

/// One request and its answer, heads included.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The request's path.
    pub path: String,
    /// What the device sent.
    pub request: Vec<u8>,
    /// What the service answered.
    pub response: Vec<u8>,
}

/// What becomes of an answer that has arrived at the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The device gets it.
    Passed,
    /// The connection ends before the device gets it.
    Lost,
}

/// A running relay. Its threads end with the connections and with the program.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
}

impl Relay {
    /// Relays connections to `service`, a `http://` address. `decide` sees every exchange after the service has answered and before the
    /// device knows.
    ///
    /// # Errors
    /// When the address is none or no port is free.
    pub fn start(service: &str, decide: impl Fn(&Exchange) -> Fate + Send + Sync + 'static) -> Result<Self> {
        Self::changing(service, |request| request, decide)
    }

    /// As [`Self::start`], and `change` may put each request in other words before the service gets it; its length stays.
    ///
    /// # Errors
    /// When the address is none or no port is free.
    pub fn changing(
        service: &str,
        change: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
        decide: impl Fn(&Exchange) -> Fate + Send + Sync + 'static,
    ) -> Result<Self> {
        let service = service
            .trim_start_matches("http://")
            .parse()
            .context("read the service's address")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen for connections to relay")?;
        let address = listener.local_addr().context("read the relay's address")?;
        let ends = Arc::new(Ends {
            service,
            change: Box::new(change),
            decide: Box::new(decide),
        });
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let ends = Arc::clone(&ends);
                // A service that is away, or an end that gave up, ends this connection only.
                thread::spawn(move || relay(connection, &ends).ok());
            }
        });
        Ok(Self { address })
    }

    /// Where devices reach the service through this.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Sends a request's bytes once more, to the service itself, and gives the body of the answer.
///
/// # Errors
/// When the service does not answer.
pub fn send_again(service: &str, exchange: &Exchange) -> Result<Vec<u8>> {
    let address: SocketAddr = service
        .trim_start_matches("http://")
        .parse()
        .context("read the service's address")?;
    let mut connection = TcpStream::connect(address).context("reach the service")?;
    connection
        .write_all(&exchange.request)
        .context("send a request again")?;
    let answer = read_message(&mut BufReader::new(connection))?.context("no answer")?;
    Ok(body_of(&answer).to_vec())
}

/// The body of a message.
#[must_use]
pub fn body_of(message: &[u8]) -> &[u8] {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n");
    end.map_or(&[], |end| &message[end + 4..])
}

/// Where requests go, and what becomes of them on the way.
struct Ends {
    service: SocketAddr,
    change: Box<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>,
    decide: Box<dyn Fn(&Exchange) -> Fate + Send + Sync>,
}

fn relay(device: TcpStream, ends: &Ends) -> Result<()> {
    let mut service = TcpStream::connect(ends.service).context("reach the service")?;
    let mut requests = BufReader::new(device.try_clone()?);
    let mut answers = BufReader::new(service.try_clone()?);
    let mut device = device;
    while let Some(request) = read_message(&mut requests)? {
        let request = (ends.change)(request);
        service.write_all(&request)?;
        let answer = if request.starts_with(b"HEAD ") {
            read_head(&mut answers)?.map(|(head, _)| head)
        } else {
            read_message(&mut answers)?
        };
        let response = answer.context("the service ended the connection")?;
        let head = String::from_utf8_lossy(&request[..request.len().min(1024)]).into_owned();
        let path = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let exchange = Exchange {
            path,
            request,
            response,
        };
        match (ends.decide)(&exchange) {
            Fate::Passed => device.write_all(&exchange.response)?,
            Fate::Lost => break,
        }
    }
    Ok(())
}

/// One message with a length in its head; `None` where the connection ends.
pub(crate) fn read_message(from: &mut BufReader<TcpStream>) -> Result<Option<Vec<u8>>> {
    let Some((mut message, length)) = read_head(from)? else {
        return Ok(None);
    };
    let start = message.len();
    message.resize(start + length, 0);
    from.read_exact(&mut message[start..])?;
    Ok(Some(message))
}

/// The head of a message, and how long its body is said to be; the answer to a HEAD has none all the same.
fn read_head(from: &mut BufReader<TcpStream>) -> Result<Option<(Vec<u8>, usize)>> {
    let mut message = Vec::new();
    let mut length = 0;
    loop {
        let start = message.len();
        if from.read_until(b'\n', &mut message)? == 0 {
            ensure!(start == 0, "a message is cut");
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&message[start..]).to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().context("read a length")?;
        }
        if line == "\r\n" {
            return Ok(Some((message, length)));
        }
    }
}
