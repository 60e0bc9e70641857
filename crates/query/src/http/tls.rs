//! TLS of a server and of the way between instances, from PEM text. Not files: the application reads its own.
//! Invariant: no error and no debug output holds a key.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use std::fmt;
use std::sync::Arc;

/// A server's side; clients must have a certificate where [`ServerTls::mutual`] says so.
#[derive(Clone)]
pub struct ServerTls(pub(super) Arc<ServerConfig>);

/// An instance's side when it asks others.
#[derive(Clone)]
pub struct ClientTls(pub(super) ClientConfig);

impl ServerTls {
    /// Anybody may connect. `chain` and `key` are PEM text, the server's certificate first.
    pub fn new(chain: &str, key: &str) -> Result<Self, String> {
        Self::build(chain, key, None)
    }

    /// Only clients with a certificate of one of the authorities in `clients` (PEM) may connect.
    pub fn mutual(chain: &str, key: &str, clients: &str) -> Result<Self, String> {
        Self::build(chain, key, Some(clients))
    }

    fn build(chain: &str, key: &str, clients: Option<&str>) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS versions: {error}"))?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let roots = Arc::new(roots(clients)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = verifier.build();
                let verifier = verifier.map_err(|error| format!("client authorities: {error}"))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(certificates(chain)?, private_key(key)?)
            .map_err(|error| format!("key and certificate do not work: {error}"))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

impl ClientTls {
    /// Trusts servers of the authorities in `authorities` (PEM); shows `own`, a chain and a key (PEM), where given.
    pub fn new(authorities: &str, own: Option<(&str, &str)>) -> Result<Self, String> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS versions: {error}"))?
            .with_root_certificates(roots(authorities)?);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(certificates(chain)?, private_key(key)?)
                .map_err(|error| format!("key and certificate do not work: {error}"))?,
        };
        Ok(Self(config))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls(..)")
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls(..)")
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("no certificate in PEM form found".into()),
        Err(error) => Err(format!("certificates: {error}")),
    }
}

fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| "no private key in PEM form found".to_owned())
}

fn roots(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        let added = roots.add(certificate);
        added.map_err(|error| format!("an authority's certificate: {error}"))?;
    }
    Ok(roots)
}
