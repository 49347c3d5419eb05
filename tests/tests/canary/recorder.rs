//! Stands between a program and the service on the loopback address, and keeps every byte that passes.

use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

/// What one side of one connection sent.
struct Side {
    who: &'static str,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Record {
    who: &'static str,
    sides: Vec<Side>,
}

/// A recording relay. Its threads end when both ends of their connections have.
pub(crate) struct Recorder {
    address: SocketAddr,
    record: Arc<Mutex<Record>>,
}

impl Recorder {
    /// Relays connections to the service at `service`.
    pub(crate) fn start(service: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen for connections to record")?;
        let address = listener.local_addr().context("read the recorder's address")?;
        let record = Arc::new(Mutex::new(Record::default()));
        let shared = record.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                // A program that gave up, or a service that is not there yet, ends this connection only.
                relay(connection, service, &shared).ok();
            }
        });
        Ok(Self { address, record })
    }

    /// Where programs reach the service through this.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whose traffic the following connections carry.
    pub(crate) fn now(&self, who: &'static str) {
        lock(&self.record).who = who;
    }

    /// Every byte that passed for `who`, as it was sent, and every body on its own, decompressed.
    pub(crate) fn traffic(&self, who: &str) -> Result<Traffic> {
        let mut traffic = Traffic::default();
        for side in lock(&self.record).sides.iter().filter(|side| side.who == who) {
            traffic.raw.extend_from_slice(&side.bytes);
            traffic.read(&side.bytes)?;
        }
        Ok(traffic)
    }
}

/// What passed for one party.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) raw: Vec<u8>,
    /// Bodies, decompressed.
    pub(crate) bodies: Vec<Vec<u8>>,
    /// How many of them were compressed.
    pub(crate) compressed: usize,
}

impl Traffic {
    /// Takes the messages of one side of a connection apart. The last one may be incomplete when the program ended.
    fn read(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let Some(end) = find(bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let header = |name: &str| {
                head.lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                    .map(|value| value.trim().to_owned())
            };
            bytes = &bytes[end + 4..];
            let body = if header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
                dechunk(&mut bytes)?
            } else {
                let length = header("content-length")
                    .map_or(Ok(0), |length| length.parse::<usize>())
                    .context("read a length")?;
                let body = bytes.get(..length).unwrap_or(bytes).to_vec();
                bytes = bytes.get(length..).unwrap_or_default();
                body
            };
            match header("content-encoding").as_deref() {
                None => self.bodies.push(body),
                Some("zstd") => {
                    self.compressed += 1;
                    self.bodies
                        .push(zstd::stream::decode_all(body.as_slice()).context("decompress a body")?);
                }
                Some(other) => bail!("a body is encoded as {other}"),
            }
        }
        ensure!(bytes.is_empty(), "{} bytes are no message", bytes.len());
        Ok(())
    }
}

fn dechunk(bytes: &mut &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = find(bytes, b"\r\n").context("a chunk has no length")?;
        let digits = String::from_utf8_lossy(&bytes[..end]);
        let length =
            usize::from_str_radix(digits.split(';').next().unwrap_or_default().trim(), 16).context("read a length")?;
        *bytes = &bytes[end + 2..];
        body.extend_from_slice(bytes.get(..length).context("a chunk is cut")?);
        *bytes = bytes.get(length + 2..).unwrap_or_default();
        if length == 0 {
            return Ok(body);
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn relay(client: TcpStream, service: SocketAddr, record: &Arc<Mutex<Record>>) -> Result<()> {
    let service = TcpStream::connect(service).context("reach the service")?;
    for (from, to) in [(client.try_clone()?, service.try_clone()?), (service, client)] {
        let side = {
            let mut record = lock(record);
            let who = record.who;
            record.sides.push(Side { who, bytes: Vec::new() });
            record.sides.len() - 1
        };
        let record = record.clone();
        thread::spawn(move || pump(from, to, side, &record));
    }
    Ok(())
}

/// Everything is kept before it is passed on.
fn pump(mut from: TcpStream, mut to: TcpStream, side: usize, record: &Mutex<Record>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        lock(record).sides[side].bytes.extend_from_slice(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // Either end may be gone already.
    to.shutdown(Shutdown::Write).ok();
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn bodies_are_taken_apart_whatever_their_framing() {
    let packed = zstd::stream::encode_all(&b"packed"[..], 1).unwrap();
    let head = format!(
        "POST /b HTTP/1.1\r\nContent-Encoding: zstd\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    );
    let stream = [
        &b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"[..],
        head.as_bytes(),
        &packed,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    ]
    .concat();
    let mut traffic = Traffic::default();
    traffic.read(&stream).unwrap();
    assert_eq!(traffic.bodies, [&b""[..], b"packed", b"abcde"]);
    assert_eq!(traffic.compressed, 1);
    assert!(Traffic::default().read(b"no message").is_err());
}
