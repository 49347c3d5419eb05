//! Trust by pin: the certificate that a service presents must lead to the one authority whose key the invitation named.

use std::sync::Arc;

use caseload_vault::enrolment::TlsPin;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// A TLS configuration that trusts the pinned authority alone; without a pin it trusts nobody, because only plain HTTP on this machine needs
/// none.
pub(crate) fn client_config(pin: Option<TlsPin>) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default protocol versions");
    match pin {
        None => builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
        Some(pin) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PinnedAuthority { pin, provider }))
            .with_no_client_auth(),
    }
}

/// Accepts a chain whose presented authority has the pinned key and vouches for the server's certificate in the ordinary way (name, dates,
/// signatures).
#[derive(Debug)]
struct PinnedAuthority {
    pin: TlsPin,
    provider: Arc<CryptoProvider>,
}

impl PinnedAuthority {
    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        let mut roots = RootCertStore::empty();
        let readable = roots.add(certificate.clone().into_owned()).is_ok();
        readable
            && roots
                .roots
                .first()
                .is_some_and(|anchor| TlsPin::of_spki(&der_sequence(&anchor.subject_public_key_info)) == self.pin)
    }
}

/// `content` as a DER SEQUENCE: a trust anchor holds the key without its outer tag.
fn der_sequence(content: &[u8]) -> Vec<u8> {
    let mut der = vec![0x30];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => der.push(short),
        Ok(length) => der.extend([0x81, length]),
        Err(_) => {
            der.push(0x82);
            der.extend(u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    der.extend(content);
    der
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = intermediates
            .iter()
            .find(|certificate| self.is_pinned(certificate))
            .ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|_| Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
