//! TLS as set by `ssl.*`: roots, own certificate, host name check, versions; and what its failures mean.
//! Not a store of keys: PEM text or files are read once for each client. Invariant: no error holds a key.

use crate::settings::security::{Pem, Tls};
use headwater_world::{Disk, OpenMode};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    version::{TLS12, TLS13},
};
use std::{path::Path, sync::Arc};

/// More than any chain or bundle of roots; a larger file is none.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Reads what `tls` names and builds a client's side.
pub(crate) fn config(tls: &Tls, disk: &dyn Disk) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let mut versions = Vec::new();
    versions.extend(tls.is_1_3_allowed.then_some(&TLS13));
    versions.extend(tls.is_1_2_allowed.then_some(&TLS12));
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|error| format!("ssl.enabled.protocols: {error}"))?;
    let roots = Arc::new(roots(tls, disk)?);
    let builder = if tls.is_host_checked {
        builder.with_root_certificates(roots)
    } else {
        let verifier = AnyHost::new(roots, provider)?;
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
    };
    let config = match (&tls.key, &tls.chain) {
        (Some(key), Some(chain)) => {
            let chain = certificates(&text(chain, disk, "ssl.keystore")?, "ssl.keystore")?;
            let key = text(key, disk, "ssl.keystore")?;
            if key.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
                return Err("ssl.keystore: the key is encrypted, which is not supported; decrypt it: openssl pkcs8 -in key.pem -out plain.pem".into());
            }
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|_| "ssl.keystore: no private key in PEM form found".to_owned())?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                format!("ssl.keystore: key and certificate do not work: {error}")
            })?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn roots(tls: &Tls, disk: &dyn Disk) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(trusted) = &tls.trusted else {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            return Err(
                "this system has no certificates to trust; give ssl.truststore.location (PEM)"
                    .into(),
            );
        }
        return Ok(roots);
    };
    let pem = text(trusted, disk, "ssl.truststore")?;
    for certificate in certificates(&pem, "ssl.truststore")? {
        roots
            .add(certificate)
            .map_err(|error| format!("ssl.truststore: a certificate cannot be read: {error}"))?;
    }
    Ok(roots)
}

fn certificates(pem: &str, setting: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| format!("{setting}: the PEM text is damaged"))?;
    if certificates.is_empty() {
        return Err(format!(
            "{setting}: no certificate in PEM form found; turn a JKS or PKCS12 store into it: keytool -importkeystore to PKCS12, then openssl pkcs12 -nodes -out store.pem"
        ));
    }
    Ok(certificates)
}

fn text(pem: &Pem, disk: &dyn Disk, setting: &str) -> Result<String, String> {
    match pem {
        Pem::Text(secret) => Ok(secret.reveal().to_owned()),
        Pem::File(path) => read(disk, path).map_err(|error| format!("{setting}.location: {error}")),
    }
}

/// Reads a small file; bytes that are not text (a JKS store) become replacement characters, in which no PEM is found.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> Result<String, String> {
    let file = disk.open(path, OpenMode::Read);
    let bytes = file.and_then(|file| {
        let len = file.len()?.min(FILE_BYTES_MAX);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    });
    match bytes {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Unforeseeable bytes, from the same source as TLS takes them.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), String> {
    ring::default_provider()
        .secure_random
        .fill(bytes)
        .map_err(|_| "the system gives no random bytes".to_owned())
}

/// What a failed handshake means for a person.
pub(crate) fn explain(error: &Error, host: &str) -> String {
    let what = match error {
        Error::InvalidCertificate(reason) => match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the broker's certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the broker's certificate is not valid yet; is this machine's clock right?".to_owned()
            }
            CertificateError::UnknownIssuer => {
                "the broker's certificate is signed by nobody we trust; set ssl.truststore.location to the issuer's certificate (PEM)".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
                "the broker's certificate is not for host '{host}'; use a name it is for (ssl.endpoint.identification.algorithm= checks none)"
            ),
            other => format!("the broker's certificate is refused: {other:?}"),
        },
        Error::AlertReceived(alert) => format!(
            "the broker ended the TLS handshake ({alert:?}); does it ask for a client certificate it trusts (ssl.keystore.location)?"
        ),
        Error::InvalidMessage(_) => {
            "the broker does not speak TLS on this port; set security.protocol to PLAINTEXT or SASL_PLAINTEXT, or use its TLS port".to_owned()
        }
        other => other.to_string(),
    };
    format!("TLS: {what}")
}

/// Checks chains as usual and takes any host name.
#[derive(Debug)]
struct AnyHost(Arc<WebPkiServerVerifier>);

impl AnyHost {
    fn new(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map(Self)
            .map_err(|error| format!("ssl.truststore: {error}"))
    }
}

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The chain is checked before the name, so an error of the name says that the chain is good.
        match self
            .0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
