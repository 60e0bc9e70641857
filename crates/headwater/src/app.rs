//! [`App`] as an application sees it: the builder of `headwater-streams` with the facade's error at its end.
//! Not a second builder: every verb is the one below. Invariant: `build` is all it adds.

use crate::Result;
use headwater_streams::Topology;
use std::ops::Deref;

/// Builds a topology; every verb of [`headwater_streams::App`] is its own. Its name is the `application.id`.
pub struct App(headwater_streams::App);

impl App {
    /// An empty application.
    pub fn new(name: impl Into<String>) -> Self {
        Self(headwater_streams::App::new(name))
    }

    /// Ends building. The app is empty afterwards.
    pub fn build(&self) -> Result<Topology> {
        Ok(self.0.build()?)
    }
}

impl Deref for App {
    type Target = headwater_streams::App;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
