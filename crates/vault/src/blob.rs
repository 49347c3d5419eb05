//! Files sealed for sharing: a file of any size becomes a ciphertext that computers keep and the service passes on as it is.
//!
//! The file is cut into pieces of [`PLAIN_PIECE`] bytes. Each piece is a [sealed message](crate::seal) of its own, [`SEALED_PIECE`] bytes
//! long except the last one, bound to the blob's id, to its place and to whether it is the last: pieces cannot be swapped, repeated,
//! taken from another file or left out at the end. An empty file is one empty last piece. The hash that travels with the document is over
//! the whole ciphertext, so that the service and every computer can check it without the key.
//!
//! Both directions stream: memory does not grow with the file.

use std::io::{self, Read, Write};

use ring::digest::{Context, SHA256};
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::keys::SymmetricKey;
use crate::seal::{self, OVERHEAD, OpenError};

/// Bytes of every sealed piece but the last. Frozen: it is how a reader finds the pieces.
pub const SEALED_PIECE: usize = 256 << 10;
/// Bytes of the file in one piece.
pub const PLAIN_PIECE: usize = SEALED_PIECE - OVERHEAD;

/// What sealing a file gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBlob {
    /// Bytes of the file.
    pub size: u64,
    /// Bytes of the ciphertext.
    pub sealed_size: u64,
    /// SHA-256 of the ciphertext.
    pub sha256: [u8; 32],
}

/// Why a file was not sealed. What was written until then is to be thrown away.
#[derive(Debug, Error)]
pub enum SealError {
    /// The ciphertext would be larger than allowed.
    #[error("the file is too large")]
    TooLarge,
    /// Reading or writing failed.
    #[error("a file cannot be read or written")]
    Io(#[from] io::Error),
}

/// Why a sealed file was not opened. What was written until then is to be thrown away.
#[derive(Debug, Error)]
pub enum UnsealError {
    /// A piece does not open: wrong key, damaged, cut off or put together from several.
    #[error("the sealed file cannot be opened")]
    Piece(#[source] OpenError),
    /// Reading or writing failed.
    #[error("a file cannot be read or written")]
    Io(#[from] io::Error),
}

/// Bytes of the ciphertext of a file of `size` bytes.
#[must_use]
pub const fn sealed_size(size: u64) -> u64 {
    let pieces = match size.div_ceil(PLAIN_PIECE as u64) {
        0 => 1,
        pieces => pieces,
    };
    size + pieces * OVERHEAD as u64
}

/// Seals all of `file` into `ciphertext`, which becomes at most `most` bytes long.
///
/// # Errors
/// [`SealError`].
pub fn seal_file(
    key: &SymmetricKey,
    id: Uuid,
    file: &mut dyn Read,
    ciphertext: &mut dyn Write,
    most: u64,
) -> Result<SealedBlob, SealError> {
    let mut hash = Context::new(&SHA256);
    let (mut size, mut sealed_size) = (0_u64, 0_u64);
    let mut piece = read_piece(file, PLAIN_PIECE)?;
    for number in 0.. {
        // A full piece is the last one only when nothing follows it.
        let next = if piece.len() == PLAIN_PIECE {
            read_piece(file, PLAIN_PIECE)?
        } else {
            Zeroizing::default()
        };
        let last = next.is_empty();
        let sealed = seal::seal(key, &place(id, number, last), &piece);
        size += piece.len() as u64;
        sealed_size += sealed.len() as u64;
        if sealed_size > most {
            return Err(SealError::TooLarge);
        }
        hash.update(&sealed);
        ciphertext.write_all(&sealed)?;
        if last {
            break;
        }
        piece = next;
    }
    Ok(SealedBlob {
        size,
        sealed_size,
        sha256: hash_of(hash),
    })
}

/// Opens all of `ciphertext` into `file` and gives the file's size. Each piece is checked before it is written, the end at the end: the
/// file is whole only when this succeeds.
///
/// # Errors
/// [`UnsealError`].
pub fn open_file(
    key: &SymmetricKey,
    id: Uuid,
    ciphertext: &mut dyn Read,
    file: &mut dyn Write,
) -> Result<u64, UnsealError> {
    let mut size = 0;
    let mut sealed = read_piece(ciphertext, SEALED_PIECE)?;
    for number in 0.. {
        let next = if sealed.len() == SEALED_PIECE {
            read_piece(ciphertext, SEALED_PIECE)?
        } else {
            Zeroizing::default()
        };
        let last = next.is_empty();
        let plain = seal::open(key, &place(id, number, last), &sealed).map_err(UnsealError::Piece)?;
        file.write_all(&plain)?;
        size += plain.len() as u64;
        if last {
            break;
        }
        sealed = next;
    }
    Ok(size)
}

/// SHA-256 of everything that `ciphertext` gives.
///
/// # Errors
/// When it cannot be read.
pub fn hash_file(ciphertext: &mut dyn Read) -> io::Result<[u8; 32]> {
    let mut hash = Context::new(&SHA256);
    loop {
        let piece = read_piece(ciphertext, SEALED_PIECE)?;
        if piece.is_empty() {
            return Ok(hash_of(hash));
        }
        hash.update(&piece);
    }
}

/// The associated data of a piece: blob, number, whether it is the last. Frozen: every sealed file is bound to these bytes.
fn place(id: Uuid, number: u64, last: bool) -> Vec<u8> {
    [
        b"caseload/blob/v1\0".as_slice(),
        id.as_bytes(),
        &number.to_be_bytes(),
        &[u8::from(last)],
    ]
    .concat()
}

/// The next `most` bytes, fewer only at the end.
fn read_piece(from: &mut dyn Read, most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut piece = Zeroizing::new(Vec::with_capacity(most));
    from.take(most as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

fn hash_of(context: Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(7);

    fn key() -> SymmetricKey {
        SymmetricKey::from_bytes([9; 32])
    }

    fn sealed(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let blob = seal_file(&key(), ID, &mut &*text, &mut out, u64::MAX).unwrap();
        assert_eq!((blob.size, blob.sealed_size), (text.len() as u64, out.len() as u64));
        assert_eq!(blob.sealed_size, sealed_size(blob.size));
        assert_eq!(blob.sha256, hash_file(&mut out.as_slice()).unwrap());
        out
    }

    fn opened(ciphertext: &[u8]) -> Result<Vec<u8>, UnsealError> {
        let mut out = Vec::new();
        open_file(&key(), ID, &mut &*ciphertext, &mut out).map(|_| out)
    }

    #[test]
    fn files_of_every_length_around_a_piece_come_back_byte_equal() {
        for size in [
            0,
            1,
            PLAIN_PIECE - 1,
            PLAIN_PIECE,
            PLAIN_PIECE + 1,
            3 * PLAIN_PIECE,
            3 * PLAIN_PIECE + 5,
        ] {
            let text: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            assert_eq!(opened(&sealed(&text)).unwrap(), text, "{size}");
        }
    }

    #[test]
    fn pieces_cannot_be_dropped_swapped_repeated_or_moved_to_another_file() {
        let text = vec![3; 2 * PLAIN_PIECE + 10];
        let whole = sealed(&text);
        let (first, second, last) = (
            &whole[..SEALED_PIECE],
            &whole[SEALED_PIECE..2 * SEALED_PIECE],
            &whole[2 * SEALED_PIECE..],
        );
        for wrong in [
            [second, first, last].concat(),
            [first, last].concat(),
            [first, second].concat(),
            first.to_vec(),
            [first, first, last].concat(),
            [first, second, last, last].concat(),
            [first, second, &last[1..]].concat(),
            Vec::new(),
        ] {
            assert!(matches!(opened(&wrong), Err(UnsealError::Piece(_))));
        }
        let elsewhere = open_file(&key(), Uuid::from_u128(8), &mut whole.as_slice(), &mut io::sink());
        assert!(matches!(elsewhere, Err(UnsealError::Piece(OpenError::WrongKey))));
    }

    #[test]
    fn a_file_beyond_the_limit_is_not_sealed() {
        let sealing = |most| seal_file(&key(), ID, &mut [1; 100].as_slice(), &mut io::sink(), most);
        assert!(matches!(sealing(181), Err(SealError::TooLarge)));
        assert_eq!(sealing(182).unwrap().sealed_size, 182);
    }

    #[test]
    fn the_framing_is_frozen_because_blobs_are_kept_for_as_long_as_their_documents() {
        assert_eq!((SEALED_PIECE, PLAIN_PIECE), (262_144, 262_062));
        assert_eq!(
            place(ID, 2, true),
            [
                b"caseload/blob/v1\0".as_slice(),
                &7_u128.to_be_bytes(),
                &2_u64.to_be_bytes(),
                &[1]
            ]
            .concat()
        );
        let kept = seal::seal(&key(), &place(ID, 0, true), b"a file of an earlier version");
        assert_eq!(opened(&kept).unwrap(), b"a file of an earlier version");
    }
}
