//! What a fetch's answer and a produce request cost without a socket, for this repository's count of instructions (`cargo xtask guard`).
//! Not part of the API: hidden, and free to change. Invariant: bytes go through the code that a connection takes them through.

use crate::{
    connection::outgoing::Outgoing,
    fetcher::cut::{Uncut, cut},
    protocol::{
        Reader, Request, Response, Uuid,
        fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData},
        produce::{PartitionProduceData, ProduceRequest, TopicProduceData},
        put_request_header,
    },
};
use bytes::{Buf, Bytes};
use headwater_log::{Chunk, Error, Result, Slot, TopicPartition};

const CHUNK_BYTES_MAX: usize = 1 << 20;
const TOPIC: Uuid = Uuid(7);

fn last<R: Request>() -> i16 {
    *R::VERSIONS.end()
}

/// The body of a leader's answer with these batches, one partition each.
pub fn answer(batches: &[Vec<u8>]) -> Bytes {
    let partitions = batches.iter().enumerate();
    let partitions = partitions.map(|(index, batch)| PartitionData {
        partition_index: index as i32,
        high_watermark: i64::MAX,
        last_stable_offset: i64::MAX,
        records: Some(Bytes::copy_from_slice(batch)),
        ..PartitionData::default()
    });
    let topic = FetchableTopicResponse {
        topic_id: TOPIC,
        partitions: partitions.collect(),
        ..FetchableTopicResponse::default()
    };
    let response = FetchResponse {
        responses: vec![topic],
        ..FetchResponse::default()
    };
    let mut body = Vec::new();
    response.encode(last::<FetchRequest>(), &mut body);
    body.into()
}

/// Reads such a body and cuts it to chunks; `spare` gives buffers for so many bytes.
pub fn fetch(body: &Bytes, mut spare: impl FnMut(usize) -> Vec<u8>) -> Result<Vec<Chunk>> {
    let mut input = Reader::new(body.clone());
    let response = <FetchResponse as Response>::decode(last::<FetchRequest>(), &mut input)
        .map_err(|malformed| Error::Invalid(malformed.0))?;
    let mut chunks = Vec::new();
    for topic in response.responses {
        for data in topic.partitions {
            let partition = TopicPartition::new("events", data.partition_index as u32);
            let uncut = Uncut {
                partition: &partition,
                slot: Slot(data.partition_index as u32),
                position: 0,
                end_offset: data.last_stable_offset,
                records: &data.records.unwrap_or_default(),
                aborted: data.aborted_transactions,
                chunk_bytes_max: CHUNK_BYTES_MAX,
            };
            chunks.extend(cut(uncut, &mut spare)?.chunks);
        }
    }
    Ok(chunks)
}

/// Writes these batches, one partition each, as one request, and answers its bytes.
pub fn produce(batches: &[Bytes]) -> Result<usize> {
    let partitions = batches.iter().enumerate();
    let partitions = partitions.map(|(index, batch)| PartitionProduceData {
        index: index as i32,
        records: Some(batch.clone()),
    });
    let request = ProduceRequest {
        transactional_id: Some("bench-0-0".to_owned()),
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: String::new(),
            topic_id: TOPIC,
            partition_data: partitions.collect(),
        }],
    };
    let version = last::<ProduceRequest>();
    let mut frame = Outgoing::new();
    put_request_header::<ProduceRequest>(version, 1, "bench", &mut frame);
    request.encode(version, &mut frame);
    let frame = frame
        .finish(ProduceRequest::NAME)
        .map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(frame.remaining())
}

#[cfg(test)]
mod tests {
    use super::{answer, fetch, produce};
    use headwater_log::{AppendRecord, ChunkCursor, batch::BatchBuilder};

    #[test]
    fn what_was_answered_is_read_and_what_is_written_has_its_bytes() {
        let mut builder = BatchBuilder::default();
        builder.append(&AppendRecord {
            value: Some(b"value"),
            ..AppendRecord::default()
        });
        let batch = builder.finish();
        let chunks = fetch(&answer(&[batch.clone(), batch.clone()]), Vec::with_capacity).unwrap();
        assert_eq!(chunks.len(), 2);
        for chunk in chunks {
            let mut cursor = ChunkCursor::new(chunk);
            let record = cursor.next_record().unwrap().unwrap();
            assert_eq!(record.value, Some(&b"value"[..]));
        }
        let (one, two) = (batch.len(), 2 * batch.len());
        let bytes = produce(&[batch.clone().into(), batch.into()]).unwrap();
        assert!((two..two + one + 100).contains(&bytes), "{bytes}");
    }
}
