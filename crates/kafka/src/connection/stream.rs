//! A byte stream to a broker: TCP, with TLS around it where set.
//! Not yet Kafka's protocol. Invariant: every address of a name is tried before it is given up.

use super::{error::OpenError, tls};
use crate::settings::{Settings, address::Address};
use rustls::{ClientConfig, pki_types::ServerName};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream, lookup_host},
};
use tokio_rustls::TlsConnector;

pub(crate) type ReadHalf = Box<dyn AsyncRead + Unpin>;
pub(crate) type WriteHalf = Box<dyn AsyncWrite + Unpin>;

/// Connects, and shakes hands where `tls` is given. The caller bounds the time.
pub(crate) async fn open(
    address: &Address,
    settings: &Settings,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<(ReadHalf, WriteHalf), OpenError> {
    let tcp = connect(address, settings).await?;
    let Some(config) = tls else {
        let (read, write) = tcp.into_split();
        return Ok((Box::new(read), Box::new(write)));
    };
    let name = ServerName::try_from(address.host.clone()).map_err(|_| {
        OpenError::Authentication(format!(
            "{address}: '{}' is not a host name that TLS can check",
            address.host
        ))
    })?;
    let connector = TlsConnector::from(config.clone());
    let stream = connector
        .connect(name, tcp)
        .await
        .map_err(|error| handshake_error(address, &error))?;
    let (read, write) = tokio::io::split(stream);
    Ok((Box::new(read), Box::new(write)))
}

async fn connect(address: &Address, settings: &Settings) -> Result<TcpStream, OpenError> {
    let away = |what: String| OpenError::Away(format!("{address}: {what}"));
    let found: Vec<SocketAddr> = lookup_host((address.host.as_str(), address.port))
        .await
        .map_err(|error| away(format!("the name cannot be resolved: {error}")))?
        .collect();
    let mut last = "the name has no address".to_owned();
    for socket_address in found {
        match connect_to(socket_address, settings).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("cannot connect: {error}"),
        }
    }
    Err(away(last))
}

async fn connect_to(address: SocketAddr, settings: &Settings) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(bytes) = settings.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = settings.receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.set_keepalive(true)?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn handshake_error(address: &Address, error: &io::Error) -> OpenError {
    if let Some(cause) = tls_cause(error) {
        return OpenError::Authentication(format!(
            "{address}: {}",
            tls::explain(cause, &address.host)
        ));
    }
    OpenError::Mismatch(format!(
        "{address}: the connection ended in the TLS handshake ({error}); does the broker speak TLS on this port (security.protocol)?"
    ))
}

/// The TLS failure inside an I/O error, if it is one.
pub(crate) fn tls_cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}
