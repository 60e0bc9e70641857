//! What a task writes, in plain batches: for yardsticks of a task without a log. Not sent anywhere.
//! Invariant: every record is encoded, as a client would.

use headwater::log::AppendRecord;
use headwater::log::batch::BatchBuilder;
use headwater_streams::{Output, Route};

/// Batches that are emptied at every commit.
#[derive(Default)]
pub(crate) struct Batches {
    pub(crate) output: BatchBuilder,
    pub(crate) changelog: BatchBuilder,
}

impl Output for Batches {
    fn send(
        &mut self,
        _: u32,
        _: Route<'_>,
        record: &AppendRecord<'_>,
    ) -> headwater_streams::Result<()> {
        self.output.append(record);
        Ok(())
    }

    fn send_to(
        &mut self,
        _: &str,
        _: Route<'_>,
        record: &AppendRecord<'_>,
    ) -> headwater_streams::Result<()> {
        self.output.append(record);
        Ok(())
    }

    fn changelog(
        &mut self,
        _: usize,
        _: u32,
        record: &AppendRecord<'_>,
    ) -> headwater_streams::Result<()> {
        self.changelog.append(record);
        Ok(())
    }

    fn partitions_of(&mut self, _: &str) -> headwater_streams::Result<u32> {
        Ok(1)
    }

    fn partitions(&mut self, _: u32) -> headwater_streams::Result<u32> {
        Ok(1)
    }
}
