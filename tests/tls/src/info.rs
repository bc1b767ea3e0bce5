//! What a handler may ask about the connection: `request.get::<TlsInfo>()`.

#[derive(Debug)]
pub struct TlsInfo {
    /// The name that the client asked for (SNI).
    pub server_name: Option<String>,
    pub protocol: String,
    /// The client's certificate in DER, checked against the configured roots.
    pub client_certificate: Option<Vec<u8>>,
}
