//! A broker of a few lines for tests: reads frames, answers by a script, and misbehaves when told. Not a broker's logic.
//! Invariant: what it was asked is written down in the order it came.

use crate::protocol::{
    ErrorCode, Reader, Request, Response,
    api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse},
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::{
    cell::{Cell, RefCell},
    future::Future,
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{LocalSet, spawn_local},
    time::sleep,
};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) client_id: String,
    pub(crate) body: Bytes,
}

impl Asked {
    pub(crate) fn is<R: Request>(&self) -> bool {
        self.key == R::KEY
    }

    pub(crate) fn read<R: Request>(&self) -> R {
        <R as Request>::decode(self.version, &mut Reader::new(self.body.clone())).unwrap()
    }

    /// An answer to it.
    pub(crate) fn answer<R: Request>(&self, response: &R::Response) -> Reply {
        let mut body = Vec::new();
        if self.version >= R::FLEXIBLE_FROM && self.key != ApiVersionsRequest::KEY {
            body.push(0);
        }
        response.encode(self.version, &mut body);
        Reply::Answer(body)
    }
}

/// What the broker does.
pub(crate) enum Reply {
    /// Answers with the header's rest and the body.
    Answer(Vec<u8>),
    /// The same, one byte at a time.
    Dribbled(Vec<u8>),
    /// Half of it, then the end of the connection.
    Cut(Vec<u8>),
    Late(Duration, Vec<u8>),
    WrongId(Vec<u8>),
    /// These bytes as they are.
    Raw(Vec<u8>),
    Silence,
    Close,
}

impl Reply {
    pub(crate) fn body(self) -> Vec<u8> {
        match self {
            Self::Answer(body) => body,
            _ => Vec::new(),
        }
    }
}

type Script = dyn Fn(&Asked) -> Reply;

pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    pub(crate) asked: RefCell<Vec<Asked>>,
    pub(crate) connections: Cell<usize>,
    script: Box<Script>,
}

impl Fake {
    /// Listens; ApiVersions is answered with every request's versions unless the script says [`Reply::Raw`] or so to key 18.
    pub(crate) async fn start(script: impl Fn(&Asked) -> Reply + 'static) -> Rc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Rc::new(Self {
            address: listener.local_addr().unwrap(),
            asked: RefCell::default(),
            connections: Cell::new(0),
            script: Box::new(script),
        });
        let serving = fake.clone();
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.connections.set(serving.connections.get() + 1);
                spawn_local(serve(serving.clone(), stream));
            }
        });
        fake
    }

    pub(crate) fn count<R: Request>(&self) -> usize {
        self.asked.borrow().iter().filter(|it| it.is::<R>()).count()
    }
}

async fn serve(fake: Rc<Fake>, mut stream: TcpStream) {
    let mut buffer = BytesMut::new();
    loop {
        while buffer.len() < 4 || buffer.len() < 4 + (&buffer[..]).get_i32() as usize {
            match stream.read_buf(&mut buffer).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        }
        let length = buffer.get_i32() as usize;
        let mut frame = buffer.split_to(length).freeze();
        let (key, version, id) = (frame.get_i16(), frame.get_i16(), frame.get_i32());
        let name = frame.get_i16().max(0) as usize;
        let client_id = String::from_utf8(frame.split_to(name).to_vec()).unwrap();
        // Every request but SaslHandshake is spoken in flexible versions, with no tags.
        if key != 17 {
            frame.advance(1);
        }
        let asked = Asked {
            key,
            version,
            client_id,
            body: frame,
        };
        fake.asked.borrow_mut().push(asked.clone());
        if !reply(&mut stream, id, (fake.script)(&asked)).await {
            return;
        }
    }
}

/// False ends the connection.
async fn reply(stream: &mut TcpStream, id: i32, reply: Reply) -> bool {
    let framed = |id: i32, body: &[u8]| {
        let mut bytes = BytesMut::new();
        bytes.put_i32(body.len() as i32 + 4);
        bytes.put_i32(id);
        bytes.extend_from_slice(body);
        bytes
    };
    let sent = match reply {
        Reply::Answer(body) => stream.write_all(&framed(id, &body)).await,
        Reply::Raw(bytes) => stream.write_all(&bytes).await,
        Reply::WrongId(body) => stream.write_all(&framed(id + 7, &body)).await,
        Reply::Late(time, body) => {
            sleep(time).await;
            stream.write_all(&framed(id, &body)).await
        }
        Reply::Dribbled(body) => {
            for byte in framed(id, &body) {
                stream.write_all(&[byte]).await.unwrap();
                stream.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
            Ok(())
        }
        Reply::Cut(body) => {
            let whole = framed(id, &body);
            stream.write_all(&whole[..whole.len() / 2]).await.unwrap();
            return false;
        }
        Reply::Silence => Ok(()),
        Reply::Close => return false,
    };
    sent.is_ok()
}

/// An answer to ApiVersions that knows these requests, each in versions 0 to 99.
pub(crate) fn versions(asked: &Asked, keys: &[i16]) -> Reply {
    asked.answer::<ApiVersionsRequest>(&ApiVersionsResponse {
        error_code: ErrorCode::NONE,
        api_keys: keys
            .iter()
            .map(|key| ApiVersion {
                api_key: *key,
                min_version: 0,
                max_version: 99,
            })
            .collect(),
        ..ApiVersionsResponse::default()
    })
}

/// Runs a test's future as the client's network thread would.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test);
}
