//! A request that is not spoken in its newest versions, because those mean another protocol around it (transactions v1).
//! Not a message of its own. Invariant: its bytes are the request's.

use super::{
    Malformed, Reader, Request,
    wire::{Field, Sink, Wire},
};
use std::ops::RangeInclusive;

/// `R` in versions up to `MAX`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Capped<R, const MAX: i16>(pub(crate) R);

impl<R: Field, const MAX: i16> Field for Capped<R, MAX> {
    fn put(&self, wire: Wire, out: &mut dyn Sink) {
        self.0.put(wire, out);
    }

    fn take(wire: Wire, input: &mut Reader) -> Result<Self, Malformed> {
        R::take(wire, input).map(Self)
    }
}

impl<R: Request, const MAX: i16> Request for Capped<R, MAX> {
    const KEY: i16 = R::KEY;
    const NAME: &'static str = R::NAME;
    const VERSIONS: RangeInclusive<i16> = *R::VERSIONS.start()..=MAX;
    const FLEXIBLE_FROM: i16 = R::FLEXIBLE_FROM;
    type Response = R::Response;
}
