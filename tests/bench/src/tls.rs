//! TLS 1.3 by rustls and ring, the same for all programs: `DIRECTORY/cert.pem` and its
//! `DIRECTORY/key.pem`, which the scenario makes.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::client::Result;

/// What a client with TLS has to know.
#[derive(Clone)]
pub struct Tls(pub(crate) Arc<ClientConfig>);

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A server's side, with rustls' defaults.
pub fn server(directory: &Path) -> Result<Arc<ServerConfig>> {
    let certificate = CertificateDer::from_pem_file(directory.join("cert.pem"))?;
    let key = PrivateKeyDer::from_pem_file(directory.join("key.pem"))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(Arc::new(config))
}

/// A client's side. It trusts that certificate alone.
pub fn client(directory: &Path, is_resuming: bool) -> Result<Tls> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(directory.join("cert.pem"))?)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    if !is_resuming {
        config.resumption = Resumption::disabled();
    }
    Ok(Tls(Arc::new(config)))
}
