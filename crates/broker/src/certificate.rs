//! Certificates of one test cluster, as PEM files: an authority and what it signed, good and bad. Not a public key infrastructure.
//! Invariant: keys exist only in the cluster's folder and go with it.

use crate::listener::Listener;
use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The name in the client's certificate; Kafka's principal is `User:CN=` and this.
const CLIENT: &str = "headwater-client";

/// Where the files lie.
#[derive(Clone, Debug)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes the authority, the brokers' certificates and the client's.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let authority = Authority::make("Headwater test authority")?;
        let this = Self {
            folder: folder.to_path_buf(),
        };
        fs::write(this.authority(), &authority.pem)?;
        let stranger = Authority::make("An authority that nobody trusts")?;
        fs::write(this.strange_authority(), &stranger.pem)?;
        let here = ["localhost", "127.0.0.1"];
        let good = authority.sign("localhost", &here, |_| {})?;
        let expired = authority.sign("localhost", &here, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        })?;
        let other = authority.sign("elsewhere.example", &["elsewhere.example"], |_| {})?;
        for (listener, pair) in [
            (Listener::Tls, &good),
            (Listener::MutualTls, &good),
            (Listener::SaslTls, &good),
            (Listener::ExpiredTls, &expired),
            (Listener::OtherHostTls, &other),
        ] {
            // Kafka wants the key and the chain in one file.
            fs::write(
                this.store_of(listener),
                format!("{}{}", pair.key, pair.chain),
            )?;
        }
        let client = authority.sign(CLIENT, &[], |_| {})?;
        fs::write(this.client_key(), client.key)?;
        fs::write(this.client_chain(), client.chain)?;
        Ok(this)
    }

    /// The certificate of the authority that signed all others.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// The certificate of an authority that signed none of them.
    #[must_use]
    pub fn strange_authority(&self) -> PathBuf {
        self.folder.join("strange-authority.pem")
    }

    /// The client's private key (PKCS 8).
    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        self.folder.join("client.key.pem")
    }

    /// The client's certificate.
    #[must_use]
    pub fn client_chain(&self) -> PathBuf {
        self.folder.join("client.pem")
    }

    /// Key and chain of a listener.
    pub(crate) fn store_of(&self, listener: Listener) -> PathBuf {
        self.folder.join(format!("{}.store.pem", listener.name()))
    }
}

struct Pair {
    key: String,
    chain: String,
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn make(name: &str) -> Result<Self> {
        let mut params = params(name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        Ok(Self { issuer, pem })
    }

    fn sign(
        &self,
        name: &str,
        hosts: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<Pair> {
        let mut params = params(name, hosts)?;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        let key = KeyPair::generate()?;
        let chain = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Pair {
            key: key.serialize_pem(),
            chain,
        })
    }
}

fn params(name: &str, hosts: &[&str]) -> Result<CertificateParams> {
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}
