//! What stands before each body: which request in which version, and the number that ties an answer to it.
//! Not the frame's length: the connection adds that. Invariant: a header's version follows from the message's, with the one
//! exception that the answer to ApiVersions always has the oldest.

use super::{
    Malformed, Reader, Request,
    api_versions::ApiVersionsRequest,
    wire::{Field, Nullable, Sink, Wire, put_unsigned_varint},
};

/// Strings of a request's header are never compact, not even in its flexible version.
const CLASSIC: Wire = Wire {
    version: 1,
    flexible: false,
};

/// Appends the header of a request: version 2 where the message is flexible, else 1.
pub(crate) fn put_request_header<R: Request>(
    version: i16,
    correlation_id: i32,
    client_id: &str,
    out: &mut dyn Sink,
) {
    R::KEY.put(CLASSIC, out);
    version.put(CLASSIC, out);
    correlation_id.put(CLASSIC, out);
    String::put_nullable(Some(&client_id.to_owned()), CLASSIC, out);
    if version >= R::FLEXIBLE_FROM {
        put_unsigned_varint(0, out);
    }
}

/// Reads the header of an answer to `R` and returns its correlation id.
pub(crate) fn take_response_header<R: Request>(
    version: i16,
    input: &mut Reader,
) -> Result<i32, Malformed> {
    let correlation_id = i32::take(CLASSIC, input)?;
    if version >= R::FLEXIBLE_FROM && R::KEY != ApiVersionsRequest::KEY {
        input.tagged_fields(|_, _| Ok(()))?;
    }
    Ok(correlation_id)
}
