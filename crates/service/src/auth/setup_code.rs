//! The setup code: whoever can read the service's folder may publish the first practice to it.
//!
//! 80 random bits, kept in `setup-code` of the data folder with mode 0600 while the service is unclaimed and removed when it is claimed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 16;

/// The code of an unclaimed service and the file that holds it.
#[derive(Debug)]
pub(crate) struct SetupCode {
    file: PathBuf,
}

impl SetupCode {
    /// The code of the service whose data lie in `data`.
    pub(crate) fn of(data: &Path) -> Self {
        Self {
            file: data.join("setup-code"),
        }
    }

    /// The code for whoever sets the service up; made when there is none yet.
    pub(crate) fn open(&self) -> io::Result<String> {
        if let Some(code) = self.read()? {
            return Ok(code);
        }
        // A file that holds no whole code was left by a crash in the middle of writing.
        self.remove()?;
        let code = make();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.file)?;
        file.write_all(format!("{code}\n").as_bytes())?;
        file.sync_all()?;
        Ok(code)
    }

    /// Whether `typed` is the code. Takes the same time wherever they differ; case, blanks, dashes and look-alike symbols do not matter.
    pub(crate) fn matches(&self, typed: &str) -> io::Result<bool> {
        let Some(code) = self.read()? else { return Ok(false) };
        let mut key = [0; 32];
        SystemRandom::new()
            .fill(&mut key)
            .map_err(|_| io::Error::other("no randomness"))?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let expected = hmac::sign(&key, &normal_form(&code));
        Ok(hmac::verify(&key, &normal_form(typed), expected.as_ref()).is_ok())
    }

    /// Ends the code.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn read(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(&self.file) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|code| normal_form(code).len() == LENGTH)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn make() -> String {
    let mut bytes = [0; LENGTH];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the operating system gives randomness");
    let symbols: Vec<char> = bytes
        .iter()
        .map(|byte| char::from(SYMBOLS[usize::from(byte & 31)]))
        .collect();
    symbols
        .chunks(4)
        .map(|group| group.iter().collect::<String>())
        .collect::<Vec<_>>()
        .join("-")
}

fn normal_form(code: &str) -> Vec<u8> {
    let symbols = code.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'-');
    symbols
        .map(|byte| match byte.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            symbol => symbol,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_stays_until_it_is_removed_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let setup = SetupCode::of(folder.path());
        let code = setup.open().unwrap();
        assert_eq!(setup.open().unwrap(), code, "a restart keeps the code");
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&setup.file).unwrap().permissions()) & 0o777,
            0o600
        );
        setup.remove().unwrap();
        setup.remove().unwrap();
        assert!(!setup.matches(&code).unwrap(), "a removed code opens nothing");
        assert!(!setup.matches("").unwrap());
    }

    #[test]
    fn how_the_code_is_typed_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        let setup = SetupCode::of(folder.path());
        fs::write(&setup.file, "01AB-CDEF-GHJK-MNPQ\n").unwrap();
        for typed in ["01AB-CDEF-GHJK-MNPQ", "oiab cdef ghjk mnpq", "0LABCDEFGHJKMNPQ"] {
            assert!(setup.matches(typed).unwrap(), "{typed}");
        }
        for typed in ["", "01AB", "01AB-CDEF-GHJK-MNPR", "01AB-CDEF-GHJK-MNPQ-0"] {
            assert!(!setup.matches(typed).unwrap(), "{typed}");
        }
    }

    #[test]
    fn a_half_written_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let setup = SetupCode::of(folder.path());
        fs::write(&setup.file, "01AB-C").unwrap();
        assert!(!setup.matches("01ABC").unwrap());
        let code = setup.open().unwrap();
        assert!(setup.matches(&code).unwrap());
    }
}
