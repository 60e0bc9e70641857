//! Windows of time: which ones a record falls into, and keys that carry one.
//! Not stores of windows. Invariant: a window is known by its key and start; a session by its key, start and end.

mod emit;
mod format;
mod session;
mod sliding;
mod time;
mod unlimited;

pub use emit::EmitStrategy;
pub use format::{session_windowed, windowed};
pub use session::SessionWindows;
pub use sliding::SlidingWindows;
pub use time::TimeWindows;
pub use unlimited::UnlimitedWindows;

pub(crate) use format::{Ends, session_store_keys, window_store_keys, windowed_ends};

use std::time::Duration;

/// A key in a window of time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Windowed<K> {
    /// The key.
    pub key: K,
    /// The window's first ms since the epoch.
    pub start: i64,
    /// The first ms after it; of sessions and sliding windows, which hold both their ends, the last ms.
    pub end: i64,
}

/// Windows that a record falls into by its timestamp alone (`Windows`): [`TimeWindows`], [`SlidingWindows`],
/// [`UnlimitedWindows`], or your own, say of calendar months.
///
/// ```
/// use headwater_streams::Windowing;
///
/// /// Work days of 8 hours, which begin at 8 o'clock.
/// #[derive(Clone, Copy)]
/// struct WorkDays;
///
/// impl Windowing for WorkDays {
///     fn size_ms(&self) -> i64 {
///         8 * 3_600_000
///     }
///
///     fn starts(&self, timestamp: i64) -> impl Iterator<Item = i64> {
///         let start = timestamp / 86_400_000 * 86_400_000 + self.size_ms();
///         (start..self.end(start)).contains(&timestamp).then_some(start).into_iter()
///     }
/// }
/// ```
pub trait Windowing: Clone + Send + Sync + 'static {
    /// The length of the longest window, ms.
    fn size_ms(&self) -> i64;

    /// How long after a window's end records are still accepted, ms of stream time.
    fn grace_ms(&self) -> i64 {
        0
    }

    /// The starts of the windows that hold `timestamp`, ascending; none before the epoch.
    fn starts(&self, timestamp: i64) -> impl Iterator<Item = i64>;

    /// The end of the window that begins at `start`: the first ms after it.
    fn end(&self, start: i64) -> i64 {
        start.saturating_add(self.size_ms())
    }

    /// Which operator they take.
    #[doc(hidden)]
    fn kind(&self) -> WindowsKind {
        WindowsKind::Custom
    }

    /// What is wrong with them, and the cure.
    #[doc(hidden)]
    fn problem(&self) -> Option<String> {
        None
    }
}

/// The kinds of windows that operators tell apart.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowsKind {
    /// Tumbling or hopping.
    Time(TimeWindows),
    /// Sliding.
    Sliding(SlidingWindows),
    /// Without an end.
    Unlimited,
    /// The application's own.
    Custom,
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
