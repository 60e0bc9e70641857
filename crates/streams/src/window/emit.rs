//! When a windowed aggregate hands its results on. Not the operator that does it.
//! Invariant: the strategy changes what is sent on and when, never the rows of the store or its changelog.

/// When results of windows are sent on (`EmitStrategy`, KIP-825).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmitStrategy {
    /// With each update of a window, as often as the record cache lets updates through.
    #[default]
    OnWindowUpdate,
    /// Once, when stream time has passed a window's end and its grace: the final result, in the order of the windows.
    OnWindowClose,
}
