//! Which topics a source reads that reads all whose names match a pattern. Not a watch: topics that are created later are read
//! after the next start. Invariant: workers see only topologies whose patterns are resolved.

use crate::{Error, Result, Settings};
use headwater_log::{ClientOptions, Log, Request, Response, call};
use headwater_streams::Topology;

/// How long the log may take to answer.
const CALL_MS_MAX: u64 = 30_000;

/// Looks up which topics there are, where sources read all that match a pattern.
pub(crate) fn resolve_patterns(
    topology: Topology,
    log: &dyn Log,
    settings: &Settings,
) -> Result<Topology> {
    if !topology.has_patterns() {
        return Ok(topology);
    }
    let mut client = log.client(ClientOptions::default())?;
    let clock = settings.world.clock.clone();
    let request = Request::DescribeTopics(None);
    let Response::Topics(topics) = call(&mut *client, &*clock, request, CALL_MS_MAX)? else {
        return Err(Error::Config(
            "the log answered something else than topics".into(),
        ));
    };
    let names = topics.into_iter().map(|topic| topic.name.to_string());
    Ok(topology.resolve_patterns(names)?)
}
