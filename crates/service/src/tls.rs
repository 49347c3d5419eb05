//! The service's own certificate authority, for a clinic's network in which no public one vouches for anybody.
//!
//! The authority's key stays in `tls/authority-key.pem` of the data folder (mode 0600). Devices know its pin, SHA-256 of its public key, from
//! the enrolment code, and trust nothing else for this service. The server's certificate is made anew at every start and once a day, valid
//! for 90 days, and is sent together with the authority's.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use caseload_vault::enrolment::TlsPin;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use thiserror::Error;

use crate::auth::tokens::random;

const AUTHORITY_NAME: &str = "Caseload service authority";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const VALID: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Why the service has no certificate.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The folder of the authority cannot be read or written.
    #[error("the folder of the certificate authority cannot be used")]
    Io(#[from] io::Error),
    /// A certificate could not be made; most often a host name is none, or the authority's key file is damaged.
    #[error("the certificate cannot be made")]
    Certificate(#[from] rcgen::Error),
    /// The certificate does not fit the library that serves it.
    #[error("the certificate cannot be served")]
    Serve(#[from] rustls::Error),
}

/// The authority of one service.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pin: TlsPin,
}

impl Authority {
    /// The authority of the service whose data lie in `data`; made at the first call.
    pub(crate) fn of(data: &Path) -> Result<Self, TlsError> {
        let file = data.join("tls").join("authority-key.pem");
        let key = match fs::read_to_string(&file) {
            Ok(pem) => KeyPair::from_pem(&pem)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_key(&file)?,
            Err(error) => return Err(error.into()),
        };
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, AUTHORITY_NAME);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.der().clone();
        let pin = TlsPin::of_spki(&key.subject_public_key_info());
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
            pin,
        })
    }

    /// What devices know the service by.
    pub(crate) fn pin(&self) -> TlsPin {
        self.pin
    }

    /// How to serve under a fresh certificate for `names` (host names and addresses), valid from a day before `now_ms`, because the clocks
    /// of a clinic's computers differ.
    pub(crate) fn server_config(&self, names: &[String], now_ms: i64) -> Result<Arc<rustls::ServerConfig>, TlsError> {
        let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_millis(u64::try_from(now_ms).unwrap_or(0));
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "Caseload service");
        (params.not_before, params.not_after) = (now - DAY, now + VALID);
        params.serial_number = Some(random::<16>().to_vec().into());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
                .with_no_client_auth()
                .with_single_cert(vec![certificate, self.certificate.clone()], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// How long a certificate is served before it is made anew.
pub(crate) const RENEW_EVERY: Duration = DAY;

/// The names that a certificate should carry: what was configured, this machine, and the addresses it is reached by.
pub(crate) fn names(configured: &[String], listen: SocketAddr) -> Vec<String> {
    let mut names = configured.to_vec();
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    names.extend(host_name());
    let address = if listen.ip().is_unspecified() {
        outward_address()
    } else {
        Some(listen.ip())
    };
    names.extend(address.map(|address| address.to_string()));
    names.sort();
    names.dedup();
    names
}

/// The address that this machine would use to reach others. Connecting a datagram socket asks the routing table and sends nothing.
fn outward_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("192.0.2.1", 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn host_name() -> Option<String> {
    let name = fs::read_to_string("/etc/hostname").ok()?.trim().to_owned();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (!name.is_empty() && name.bytes().all(plain)).then_some(name)
}

fn make_key(file: &PathBuf) -> Result<KeyPair, TlsError> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let key = KeyPair::generate()?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(file)?;
    opened.write_all(zeroize::Zeroizing::new(key.serialize_pem()).as_bytes())?;
    opened.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_stays_when_the_service_starts_again_and_differs_between_services() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let pin = Authority::of(one.path()).unwrap().pin();
        assert_eq!(Authority::of(one.path()).unwrap().pin(), pin);
        assert_ne!(Authority::of(two.path()).unwrap().pin(), pin);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(one.path().join("tls/authority-key.pem"))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    /// The handshake in memory, as a client makes it that trusts this authority alone.
    fn handshake(authority: &Authority, server: Arc<rustls::ServerConfig>, name: &str) -> Result<(), rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap())?;
        let mut server = rustls::ServerConnection::new(server)?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut bytes.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).unwrap();
            client.read_tls(&mut bytes.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }

    #[test]
    fn the_pin_is_that_of_the_key_in_the_certificate_that_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::of(folder.path()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.certificate.clone()).unwrap();
        let content = &roots.roots[0].subject_public_key_info;
        let der = [&[0x30, u8::try_from(content.len()).unwrap()], content.as_ref()].concat();
        assert_eq!(TlsPin::of_spki(&der), authority.pin());
    }

    #[test]
    fn who_trusts_the_authority_accepts_the_certificate_for_its_names_and_dates_only() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (authority, stranger) = (
            Authority::of(folder.path()).unwrap(),
            Authority::of(other.path()).unwrap(),
        );
        let now_ms = crate::clock::Clock::system().now_ms();
        let names = names(&["clinic.example".to_owned()], ([192, 168, 7, 5], 7878).into());
        let today = authority.server_config(&names, now_ms).unwrap();
        for name in ["clinic.example", "localhost", "192.168.7.5", "127.0.0.1"] {
            assert_eq!(handshake(&authority, today.clone(), name), Ok(()), "{name}");
        }
        assert!(
            handshake(&authority, today.clone(), "elsewhere.example").is_err(),
            "another name"
        );
        assert!(handshake(&stranger, today, "localhost").is_err(), "another authority");
        let day_ms = 24 * 60 * 60 * 1_000;
        for (days, accepted) in [(-89, true), (-91, false), (0, true), (2, false)] {
            let config = authority.server_config(&names, now_ms + days * day_ms).unwrap();
            assert_eq!(
                handshake(&authority, config, "localhost").is_ok(),
                accepted,
                "made {days} days from now"
            );
        }
    }

    #[test]
    fn a_damaged_authority_is_an_error_and_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tls")).unwrap();
        fs::write(folder.path().join("tls/authority-key.pem"), "damaged").unwrap();
        assert!(matches!(Authority::of(folder.path()), Err(TlsError::Certificate(_))));
        assert_eq!(
            fs::read(folder.path().join("tls/authority-key.pem")).unwrap(),
            b"damaged"
        );
    }

    #[test]
    fn a_certificate_names_the_machine_and_what_was_configured() {
        let names = names(&["clinic.example".to_owned()], ([192, 168, 7, 5], 7878).into());
        for expected in ["clinic.example", "localhost", "192.168.7.5"] {
            assert!(names.iter().any(|name| name == expected), "{expected}");
        }
    }
}
