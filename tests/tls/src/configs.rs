//! The configurations, read from files. A session keeps the one that it began with.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use openssl::ssl::{
    AlpnError, SslAcceptor, SslContext, SslFiletype, SslMethod, SslOptions, SslVerifyMode,
    select_next_proto,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// For `RustlsSession`. A client may show a certificate; it need not.
pub fn rustls_config(directory: &Path) -> Result<Arc<ServerConfig>, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(directory.join("server.pem"))?;
    let chain = chain.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(directory.join("server.key"))?;
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(directory.join("ca.pem"))? {
        roots.add(root?)?;
    }
    let clients = WebPkiClientVerifier::builder(roots.into())
        .allow_unauthenticated()
        .build()?;
    let config = ServerConfig::builder().with_client_cert_verifier(clients);
    let mut config = config.with_single_cert(chain, key)?;
    // `curl --http1.0` offers nothing else.
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    Ok(Arc::new(config))
}

/// For `OpensslSession`. A client may show a certificate; it need not.
pub fn openssl_context(directory: &Path) -> Result<SslContext, Box<dyn Error>> {
    let mut context = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    context.set_certificate_chain_file(directory.join("server.pem"))?;
    context.set_private_key_file(directory.join("server.key"), SslFiletype::PEM)?;
    context.set_options(SslOptions::NO_RENEGOTIATION);
    context.set_ca_file(directory.join("ca.pem"))?;
    context.set_verify(SslVerifyMode::PEER);
    // Without it OpenSSL refuses to resume the session of a client with a certificate.
    context.set_session_id_context(b"akurai")?;
    context.set_alpn_select_callback(|_, offered| {
        select_next_proto(b"\x08http/1.1\x08http/1.0", offered).ok_or(AlpnError::ALERT_FATAL)
    });
    Ok(context.build().into_context())
}
