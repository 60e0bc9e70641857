//! Windowed stores: the windows or sessions of a key, or of all, in a time. Not the plain ranges over their keys.
//! Invariant: windows come in the order of their start, sessions in that of their end.

use crate::page::{Page, Scan};
use crate::wire::Times;
use crate::{Blob, Read, Result, Table};
use headwater_store::Layout;
use headwater_streams::Windowed;
use std::ops::RangeInclusive;
use tokio::time::Instant;

impl<K: 'static, V: 'static> Table<Windowed<K>, V> {
    /// The windows of `key` that start in `times`, ms since the epoch; of a session store, the sessions that end at or after
    /// `times` begins and start at or before it ends.
    pub async fn fetch(
        &self,
        key: K,
        times: RangeInclusive<i64>,
        scan: Scan,
        read: Read,
    ) -> Result<Page<Windowed<K>, V>> {
        let deadline = Instant::now() + read.deadline;
        let (start, end) = (0, 0);
        let windowed = Windowed { key, start, end };
        let bytes = self.encode(&windowed)?;
        let partition = self.partition_of(&windowed, &bytes, &read, deadline);
        let partition = partition.await?;
        let key = Blob::from(self.plain_key(&bytes));
        let span = self.span(None, None, None, self.times(Some(key), times)?);
        self.page(span, scan, read, Some(partition)).await
    }

    /// As [`Table::fetch`], of all keys: by key, then by time.
    pub async fn fetch_all(
        &self,
        times: RangeInclusive<i64>,
        scan: Scan,
        read: Read,
    ) -> Result<Page<Windowed<K>, V>> {
        let span = self.span(None, None, None, self.times(None, times)?);
        self.page(span, scan, read, None).await
    }
}

impl<K: 'static, V: 'static> Table<K, V> {
    /// What is in `times`, of one key or of all.
    pub(crate) fn times(&self, key: Option<Blob>, times: RangeInclusive<i64>) -> Result<Times> {
        let (from_ms, to_ms) = times.into_inner();
        match self.info.options.layout {
            Layout::Window { .. } => Ok(Times::Windows {
                key,
                from_ms,
                to_ms,
            }),
            Layout::Session { .. } => Ok(Times::Sessions {
                key,
                earliest_end_ms: from_ms,
                latest_start_ms: to_ms,
            }),
            _ => Err(self.refused("it keeps no windows")),
        }
    }
}
