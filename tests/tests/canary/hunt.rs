//! Looks for markers in bytes, in every form in which a program may have written them.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Read at a time. Files of databases are mostly much larger, and mostly empty.
const BLOCK: usize = 1 << 16;

/// A marker that was found: which, in which form, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Find {
    pub(crate) marker: &'static str,
    pub(crate) form: &'static str,
    pub(crate) place: String,
}

/// Knows a set of markers in all their forms.
pub(crate) struct Hunt {
    patterns: Vec<Pattern>,
    /// The first two bytes of some pattern, so that most positions cost one look.
    starts: Vec<bool>,
    longest: usize,
}

struct Pattern {
    marker: &'static str,
    form: &'static str,
    bytes: Vec<u8>,
}

impl Hunt {
    /// Prepares to look for `markers`: plain, as UTF-16 in both orders, as hex digits in both cases, and as base64 in both alphabets at
    /// each of its three alignments.
    pub(crate) fn new(markers: &[&'static str]) -> Self {
        let patterns: Vec<Pattern> = markers.iter().flat_map(|marker| forms(marker)).collect();
        let mut starts = vec![false; 1 << 16];
        for pattern in &patterns {
            starts[start_of(&pattern.bytes)] = true;
        }
        let longest = patterns.iter().map(|pattern| pattern.bytes.len()).max().unwrap_or(0);
        Self {
            patterns,
            starts,
            longest,
        }
    }

    /// Everything that is found in `bytes`, each marker once per form.
    pub(crate) fn bytes(&self, bytes: &[u8], place: &str) -> Vec<Find> {
        let mut finds = Vec::new();
        self.scan(bytes, place, &mut finds);
        finds
    }

    /// Everything that is found in the names and contents of the files below `root`, a folder or a file.
    pub(crate) fn files(&self, root: &Path) -> Result<Vec<Find>> {
        let mut finds = Vec::new();
        for file in files_below(root)? {
            let place = file.display().to_string();
            self.scan(place.as_bytes(), &place, &mut finds);
            match File::open(&file) {
                Ok(open) => self
                    .stream(open, &place, &mut finds)
                    .with_context(|| format!("read {place}"))?,
                // A database at work removes files of its own.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("open {place}")),
            }
        }
        Ok(finds)
    }

    fn stream(&self, mut file: File, place: &str, finds: &mut Vec<Find>) -> Result<()> {
        let empty = vec![0; BLOCK];
        let mut window = Vec::with_capacity(BLOCK + self.longest);
        let mut block = vec![0; BLOCK];
        loop {
            let length = file.read(&mut block)?;
            if length == 0 {
                return Ok(());
            }
            if block[..length] == empty[..length] {
                // Nothing begins in zeros, and nothing that began before goes on in them but for the last byte of UTF-16.
                window.push(0);
                self.scan(&window, place, finds);
                window.clear();
                continue;
            }
            window.extend_from_slice(&block[..length]);
            self.scan(&window, place, finds);
            let kept = window.len().saturating_sub(self.longest);
            window.drain(..kept);
        }
    }

    fn scan(&self, bytes: &[u8], place: &str, finds: &mut Vec<Find>) {
        for (position, pair) in bytes.windows(2).enumerate() {
            if !self.starts[start_of(pair)] {
                continue;
            }
            for pattern in self
                .patterns
                .iter()
                .filter(|pattern| bytes[position..].starts_with(&pattern.bytes))
            {
                let find = Find {
                    marker: pattern.marker,
                    form: pattern.form,
                    place: place.to_owned(),
                };
                if !finds.contains(&find) {
                    finds.push(find);
                }
            }
        }
    }
}

fn start_of(pair: &[u8]) -> usize {
    usize::from(pair[0]) << 8 | usize::from(pair[1])
}

fn forms(marker: &'static str) -> Vec<Pattern> {
    let utf16 = |order: fn(u16) -> [u8; 2]| marker.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let hex = |digits: fn(u8) -> String| marker.bytes().map(digits).collect::<String>().into_bytes();
    let mut forms = vec![
        ("UTF-8", marker.as_bytes().to_vec()),
        ("UTF-8, upper case", marker.to_uppercase().into_bytes()),
        ("UTF-16, little end first", utf16(u16::to_le_bytes)),
        ("UTF-16, big end first", utf16(u16::to_be_bytes)),
        ("hex", hex(|byte| format!("{byte:02x}"))),
        ("hex, upper case", hex(|byte| format!("{byte:02X}"))),
    ];
    for before in 0..3 {
        forms.push(("base64", inside_base64(marker, before, &STANDARD_NO_PAD)));
        forms.push(("base64url", inside_base64(marker, before, &URL_SAFE_NO_PAD)));
    }
    forms
        .into_iter()
        .map(|(form, bytes)| Pattern { marker, form, bytes })
        .collect()
}

/// The symbols that depend on the marker alone, when `before` bytes of a group of three stand in front of it.
fn inside_base64(marker: &str, before: usize, engine: &impl base64::Engine) -> Vec<u8> {
    let bytes = [&vec![0; before][..], marker.as_bytes()].concat();
    let symbols = engine.encode(&bytes).into_bytes();
    let first = (before * 8).div_ceil(6);
    let end = bytes.len() * 8 / 6;
    symbols[first..end].to_vec()
}

fn files_below(root: &Path) -> Result<Vec<PathBuf>> {
    if root.is_file() {
        return Ok(vec![root.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(root).with_context(|| format!("read {}", root.display()))? {
        let path = entry.with_context(|| format!("read {}", root.display()))?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

#[test]
fn a_marker_is_found_in_every_form_and_at_every_alignment() {
    let marker = "canarytestmarker0001";
    let hunt = Hunt::new(&[marker, "canarytestmarker0002"]);
    for before in ["", "x", "xy", "xyz"] {
        let text = format!("{before}{marker}{before}");
        let utf16 = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        for (form, written) in [
            ("UTF-8", text.clone().into_bytes()),
            ("UTF-8, upper case", text.to_uppercase().into_bytes()),
            ("UTF-16, little end first", utf16(u16::to_le_bytes)),
            ("UTF-16, big end first", utf16(u16::to_be_bytes)),
            ("hex", hex(&text).into_bytes()),
            ("hex, upper case", hex(&text).to_uppercase().into_bytes()),
            ("base64", STANDARD_NO_PAD.encode(&text).into_bytes()),
            ("base64url", URL_SAFE_NO_PAD.encode(&text).into_bytes()),
        ] {
            let forms: Vec<&str> = hunt.bytes(&written, "here").iter().map(|find| find.form).collect();
            assert!(forms.contains(&form), "{form} after {before:?}: {forms:?}");
        }
    }
    assert_eq!(hunt.bytes(b"canarytestmarker000", "here"), []);
}

#[test]
fn a_marker_is_found_across_blocks_beside_zeros_and_in_file_names() {
    let marker = "canarytestmarker0003";
    let hunt = Hunt::new(&[marker]);
    let folder = tempfile::tempdir().unwrap();
    for before in [0, BLOCK - 7, BLOCK, 3 * BLOCK - 1] {
        let file = folder.path().join("file");
        fs::write(
            &file,
            [&vec![0; before], marker.as_bytes(), &vec![0; 2 * BLOCK]].concat(),
        )
        .unwrap();
        assert_eq!(hunt.files(folder.path()).unwrap().len(), 1, "{before} zeros before");
        let wide: Vec<u8> = marker.encode_utf16().flat_map(u16::to_le_bytes).collect();
        fs::write(&file, [&vec![0; before], &wide[..], &vec![0; 2 * BLOCK]].concat()).unwrap();
        assert!(
            !hunt.files(folder.path()).unwrap().is_empty(),
            "{before} zeros before; they make it look like the other order too"
        );
        fs::remove_file(&file).unwrap();
    }
    fs::write(folder.path().join(marker), "").unwrap();
    assert_eq!(hunt.files(folder.path()).unwrap().len(), 1);
}
