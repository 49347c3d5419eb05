//! Just enough of MongoDB's wire protocol to make a replica set of a fresh server: one command, one answer.
//!
//! The wheel that brings the server brings no shell, and the driver is far too large for this program. Only what two commands
//! (`replSetInitiate`, `hello`) need is here; everything else talks to MongoDB through the official driver.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// `OP_MSG`, the only kind of message that is still in use.
const OP_MSG: u32 = 2013;

/// No answer to our two commands comes near this.
const LARGEST: usize = 1 << 20;

/// A value of a command.
#[derive(Debug)]
pub(crate) enum Value {
    /// A 32-bit number.
    Int(i32),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A document.
    Document(Vec<(&'static str, Value)>),
}

/// The document that a server answered.
#[derive(Debug)]
pub(crate) struct Answer(Vec<u8>);

/// Sends one command to the database `admin` of the server at this port of the loopback address.
pub(crate) fn command(port: u16, mut fields: Vec<(&'static str, Value)>) -> Result<Answer> {
    fields.push(("$db", Value::Text("admin".to_owned())));
    let limit = Duration::from_secs(10);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, limit).context("connect to mongod")?;
    stream
        .set_read_timeout(Some(limit))
        .context("limit the wait for mongod")?;
    stream
        .write_all(&message(&document(&fields)))
        .context("send a command to mongod")?;
    let mut header = [0_u8; 16];
    stream.read_exact(&mut header).context("read mongod's answer")?;
    let [a, b, c, d, ..] = header;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if !(21..LARGEST).contains(&length) {
        bail!("mongod's answer claims {length} bytes");
    }
    let mut body = vec![0; length - header.len()];
    stream.read_exact(&mut body).context("read mongod's answer")?;
    // Four bytes of flags, then the kind of the section, which is 0 for a document.
    Ok(Answer(body.split_off(5)))
}

fn message(document: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let length = 16 + 4 + 1 + document.len();
    for word in [u32::try_from(length).expect("a command is short"), 1, 0, OP_MSG, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.push(0);
    bytes.extend(document);
    bytes
}

fn document(fields: &[(&str, Value)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        element(&mut body, name, value);
    }
    framed(&body)
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = i32::try_from(body.len() + 5)
        .expect("a command is short")
        .to_le_bytes()
        .to_vec();
    bytes.extend(body);
    bytes.push(0);
    bytes
}

fn element(body: &mut Vec<u8>, name: &str, value: &Value) {
    let (kind, bytes) = match value {
        Value::Int(number) => (0x10, number.to_le_bytes().to_vec()),
        Value::Text(text) => {
            let mut bytes = i32::try_from(text.len() + 1)
                .expect("a command is short")
                .to_le_bytes()
                .to_vec();
            bytes.extend(text.as_bytes());
            bytes.push(0);
            (0x02, bytes)
        }
        Value::List(values) => {
            let mut list = Vec::new();
            for (index, value) in values.iter().enumerate() {
                element(&mut list, &index.to_string(), value);
            }
            (0x04, framed(&list))
        }
        Value::Document(fields) => (0x03, document(fields)),
    };
    body.push(kind);
    body.extend(name.as_bytes());
    body.push(0);
    body.extend(bytes);
}

impl Answer {
    /// Whether this field is true, or a number other than zero.
    pub(crate) fn is_true(&self, field: &str) -> bool {
        match self.field(field) {
            Some((0x08 | 0x10 | 0x12, bytes)) => bytes.iter().any(|byte| *byte != 0),
            // Zero is all bits clear but for the sign.
            Some((0x01, bytes)) => f64::from_le_bytes(bytes.try_into().unwrap_or_default()) != 0.0,
            _ => false,
        }
    }

    /// The text in this field.
    pub(crate) fn text(&self, field: &str) -> Option<String> {
        match self.field(field)? {
            (0x02, [_, _, _, _, text @ .., 0]) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        }
    }

    fn field(&self, wanted: &str) -> Option<(u8, &[u8])> {
        let mut rest = self.0.get(4..)?;
        loop {
            let (&kind, after) = rest.split_first()?;
            let end = after.iter().position(|byte| *byte == 0)?;
            let (name, value) = (&after[..end], &after[end + 1..]);
            let length = length(kind, value)?;
            let bytes = value.get(..length)?;
            if name == wanted.as_bytes() {
                return Some((kind, bytes));
            }
            rest = value.get(length..)?;
        }
    }
}

/// How many bytes a value of this kind takes; nothing for the end of a document and for kinds no answer holds.
fn length(kind: u8, value: &[u8]) -> Option<usize> {
    let counted = || Some(u32::from_le_bytes(value.get(..4)?.try_into().ok()?) as usize);
    Some(match kind {
        0x01 | 0x09 | 0x11 | 0x12 => 8,
        0x02 => counted()? + 4,
        0x03 | 0x04 => counted()?,
        0x05 => counted()? + 5,
        0x07 => 12,
        0x08 => 1,
        0x0A => 0,
        0x10 => 4,
        0x13 => 16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_the_bytes_of_the_protocol() {
        let bytes = message(&document(&[
            ("hello", Value::Int(1)),
            ("$db", Value::Text("admin".to_owned())),
        ]));
        let expected: &[&[u8]] = &[
            &[52, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 221, 7, 0, 0],
            &[0, 0, 0, 0, 0],
            &[31, 0, 0, 0],
            b"\x10hello\0\x01\0\0\0",
            b"\x02$db\0\x06\0\0\0admin\0",
            &[0],
        ];
        assert_eq!(bytes, expected.concat(), "the server reads exactly this");
    }

    #[test]
    fn lists_are_documents_with_counted_names() {
        let bytes = document(&[("m", Value::List(vec![Value::Document(vec![("_id", Value::Int(0))])]))]);
        assert_eq!(
            bytes,
            b"\x1e\0\0\0\x04m\0\x16\0\0\0\x030\0\x0e\0\0\0\x10_id\0\0\0\0\0\0\0\0"
        );
    }

    #[test]
    fn fields_are_found_behind_values_of_other_kinds() {
        let mut body =
            b"\x03a\0\x05\0\0\0\0\x05b\0\x02\0\0\0\0xx\x0An\0\x08w\0\x01\x02e\0\x03\0\0\0no\0\x01ok\0".to_vec();
        body.extend(1.0_f64.to_le_bytes());
        let answer = Answer(framed(&body));
        assert!(answer.is_true("w") && answer.is_true("ok"));
        assert!(!answer.is_true("e") && !answer.is_true("missing"));
        assert_eq!(answer.text("e").as_deref(), Some("no"));
    }

    #[test]
    fn a_truncated_answer_has_no_fields() {
        let answer = Answer(b"\x20\0\0\0\x02text\0\xff\xff".to_vec());
        assert!(!answer.is_true("text"));
        assert_eq!(answer.text("text"), None);
    }
}
