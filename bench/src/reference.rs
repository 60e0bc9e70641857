//! Figures of other systems for the same job, measured on another day, against Apache Kafka over sockets and not on the
//! embedded log. Not a comparison: for that both sides run side by side on one broker.
//! Invariant: every table that shows one of these says where it comes from.

/// One system's figures, as they were written down.
pub(crate) struct Reference {
    pub(crate) system: &'static str,
    pub(crate) records_per_second: &'static str,
    pub(crate) cpu_us_per_record: &'static str,
    pub(crate) peak_mb: &'static str,
}

/// The heading above references in a table.
pub(crate) const HEADING: &str = "measured elsewhere: on Apache Kafka over sockets, another run, another log (2 cores shared with the broker)";

/// For `count`: 3,000,000 records of 100 bytes, 200,000 keys, 4 partitions.
pub(crate) const COUNT: &[Reference] = &[
    Reference {
        system: "Kafka Streams 4.3.1, exactly once, RocksDB",
        records_per_second: "83,000",
        cpu_us_per_record: "16.1-16.8",
        peak_mb: "1,110-1,150",
    },
    Reference {
        system: "Kafka Streams 4.3.1, exactly once, memory",
        records_per_second: "116,000",
        cpu_us_per_record: "12.2",
        peak_mb: "1,200",
    },
    Reference {
        system: "bare floor: sockets and a hash map, no guarantee",
        records_per_second: "2,650,000",
        cpu_us_per_record: "0.28",
        peak_mb: "-",
    },
];

/// For `restore`: 2.6 M changelog records.
pub(crate) const RESTORE: &[Reference] = &[Reference {
    system: "Kafka Streams 4.3.1, RocksDB",
    records_per_second: "503,000",
    cpu_us_per_record: "-",
    peak_mb: "350",
}];
