//! What a server needs to let nobody in without a password and to be spoken to in TLS alone: an authority, a certificate, and the key by
//! which the members of a set know each other.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use mongodb::bson::{Document, doc};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// The account that administers a secured test server.
const ADMINISTRATOR: &str = "administrator";

/// Its password, and that of every account of a test: these servers live as long as a test and hear the loopback address alone.
pub(crate) const PASSWORD: &str = "only-for-tests";

/// The files of one secured server.
pub(crate) struct Security {
    authority: PathBuf,
    certificate: PathBuf,
    key_file: PathBuf,
    /// Whether the administrator exists. Before, the server lets in who comes from its own machine, to make one.
    pub(crate) administered: bool,
}

impl Security {
    /// Makes the files in `folder`.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let security = Self {
            authority: folder.join("authority.pem"),
            certificate: folder.join("server.pem"),
            key_file: folder.join("members.key"),
            administered: false,
        };
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "Test authority of MongoDB");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().context("make a key")?;
        let authority = params.self_signed(&key).context("sign the authority")?.pem();
        let issuer = Issuer::new(params, key);
        let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, "127.0.0.1");
        let key = KeyPair::generate().context("make a key")?;
        let server = params.signed_by(&key, &issuer).context("sign the server")?.pem();
        write_secret(&security.authority, &authority)?;
        write_secret(&security.certificate, &format!("{server}{}", key.serialize_pem()))?;
        // Any text of base64 will do; the set has one member on the loopback address.
        write_secret(&security.key_file, "onlyForTests")?;
        Ok(security)
    }

    /// The server's arguments.
    pub(crate) fn arguments(&self) -> [std::ffi::OsString; 10] {
        [
            "--tlsMode".into(),
            "requireTLS".into(),
            "--tlsCertificateKeyFile".into(),
            self.certificate.clone().into(),
            "--tlsCAFile".into(),
            self.authority.clone().into(),
            // Clients are known by their passwords.
            "--tlsAllowConnectionsWithoutCertificates".into(),
            "--keyFile".into(),
            self.key_file.clone().into(),
            "--auth".into(),
        ]
    }

    /// The part of a connection string that makes a client speak TLS and trust this server's authority alone.
    pub(crate) fn uri_options(&self) -> String {
        format!(
            "tls=true&tlsCAFile={}",
            self.authority.display().to_string().replace('/', "%2F")
        )
    }

    /// `administrator:password@`, once it exists.
    pub(crate) fn administrator(&self) -> String {
        if self.administered {
            format!("{ADMINISTRATOR}:{PASSWORD}@")
        } else {
            String::new()
        }
    }

    /// The command that makes the administrator.
    pub(crate) fn create_administrator() -> Document {
        doc! { "createUser": ADMINISTRATOR, "pwd": PASSWORD, "roles": ["root"], "mechanisms": ["SCRAM-SHA-256"] }
    }
}

fn write_secret(path: &Path, text: &str) -> Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("write {}", path.display()))
}
