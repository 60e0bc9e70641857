import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.WindowedSerdes;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.Stores;

/**
 * The jobs of {@code headwater-bench kafka streams} done by Kafka Streams: the same topologies, names and settings. One JSON line
 * a run; CPU time and memory are measured by whoever starts it.
 *
 * <pre>StreamsYardstick BOOTSTRAP JOB APPLICATION RECORDS STATE_DIR INPUT SECOND</pre>
 *
 * RECORDS are those to wait for, of both inputs where there are two; of "words" the words. "start" and "restore" wait until all
 * tasks run; "nexmark-q0" and so on, which read topics of their own, for the end of standard input. The output goes to APPLICATION-out. A setting is a system property {@code -Dset.NAME=VALUE}.
 */
public class StreamsYardstick {
    private static final Duration WINDOW = Duration.ofSeconds(5);
    private static final Duration SESSION_GAP = Duration.ofSeconds(1);
    /** Without one, rows of merged sessions stay behind: the store may have let go of a row before it is told that the row is deleted. */
    private static final Duration SESSION_GRACE = Duration.ofMinutes(1);
    private static final Duration JOIN_DIFFERENCE = Duration.ofMillis(500);
    private static final Duration JOIN_GRACE = Duration.ofSeconds(1);
    private static final long RUN_SECONDS_MAX = 1_200;
    /** Before the name of a query of Nexmark. */
    private static final String NEXMARK = "nexmark-";

    private static final LongAdder seen = new LongAdder();
    private static volatile long first = 0;

    private static void see() {
        if (first == 0) synchronized (seen) { if (first == 0) first = System.nanoTime(); }
        seen.increment();
    }

    public static void main(String[] words) throws Exception {
        String bootstrap = words[0], job = words[1], application = words[2], stateDir = words[4];
        long records = Long.parseLong(words[3]);
        StreamsBuilder builder = new StreamsBuilder();
        topology(builder, job, words[5], words[6], application + "-out");
        KafkaStreams streams = new KafkaStreams(builder.build(), settings(bootstrap, application, stateDir));
        Restored restored = new Restored();
        streams.setGlobalStateRestoreListener(restored);
        CountDownLatch running = new CountDownLatch(1);
        long[] runningUnixMs = new long[1];
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING && running.getCount() > 0) {
                runningUnixMs[0] = System.currentTimeMillis();
                running.countDown();
            }
            if (now == KafkaStreams.State.ERROR) {
                System.err.println("Kafka Streams went to ERROR");
                System.exit(1);
            }
        });
        streams.start();
        running.await();
        boolean startsOnly = job.equals("start") || job.equals("restore");
        long until = System.nanoTime() + RUN_SECONDS_MAX * 1_000_000_000L;
        boolean isTold = job.startsWith(NEXMARK);
        // Whoever started this holds the other end, and sees when all is done.
        if (isTold) System.in.readAllBytes();
        while (!startsOnly && !isTold && seen.sum() < records) {
            if (System.nanoTime() > until) throw new IllegalStateException(seen.sum() + " of " + records + " records came");
            Thread.sleep(2);
        }
        long last = System.nanoTime();
        long[] held = job.equals("restore") ? held(streams) : new long[2];
        streams.close(CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP).withTimeout(Duration.ofSeconds(60)));
        long closed = System.nanoTime();
        System.out.printf("{\"job\":\"%s\",\"records\":%d,\"seconds\":%.4f,\"seconds_closed\":%.4f,\"running_unix_ms\":%d,"
                + "\"restored\":%d,\"restore_seconds\":%.4f,\"keys\":%d,\"sum\":%d}%n",
            job, seen.sum(), (last - first) / 1e9, (closed - first) / 1e9, runningUnixMs[0], restored.records,
            (restored.end - restored.begin) / 1e9, held[0], held[1]);
    }

    private static Properties settings(String bootstrap, String application, String stateDir) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("application.id", application);
        settings.put("state.dir", stateDir);
        settings.put("auto.offset.reset", "earliest");
        settings.put("default.key.serde", Serdes.StringSerde.class);
        settings.put("default.value.serde", Serdes.StringSerde.class);
        ClientYardstick.addGiven(settings);
        return settings;
    }

    private static void topology(StreamsBuilder builder, String job, String input, String second, String output) {
        if (job.startsWith(NEXMARK)) {
            NexmarkQueries.add(builder, job.substring(NEXMARK.length()), output, StreamsYardstick::see);
            return;
        }
        KStream<String, String> stream = builder.stream(input);
        var counts = Produced.with(Serdes.String(), Serdes.Long());
        switch (job) {
            case "map" -> stream.mapValues(value -> value.toUpperCase()).peek((key, value) -> see()).to(output);
            case "count", "restore", "start" -> stream.peek((key, value) -> see()).groupByKey()
                .count(Materialized.as("counts")).toStream().to(output, counts);
            case "count-memory" -> stream.peek((key, value) -> see()).groupByKey()
                .count(Materialized.as(Stores.inMemoryKeyValueStore("counts"))).toStream().to(output, counts);
            case "window" -> stream.peek((key, value) -> see()).groupByKey()
                .windowedBy(TimeWindows.ofSizeWithNoGrace(WINDOW)).count(Materialized.as("counts"))
                .toStream().to(output, Produced.with(WindowedSerdes.timeWindowedSerdeFrom(String.class, WINDOW.toMillis()), Serdes.Long()));
            case "session" -> stream.peek((key, value) -> see()).groupByKey()
                .windowedBy(SessionWindows.ofInactivityGapAndGrace(SESSION_GAP, SESSION_GRACE)).count(Materialized.as("counts"))
                .toStream().to(output, Produced.with(WindowedSerdes.sessionWindowedSerdeFrom(String.class), Serdes.Long()));
            case "words" -> stream.flatMapValues(line -> Arrays.asList(line.split(" "))).selectKey((key, word) -> word)
                .repartition(Repartitioned.as("words")).peek((key, value) -> see()).groupByKey()
                .count(Materialized.as("counts")).toStream().to(output, counts);
            case "join" -> {
                var rows = builder.<String, String>stream(second).peek((key, value) -> see()).toTable(Materialized.as("rows"));
                stream.peek((key, value) -> see())
                    .leftJoin(rows, (left, right) -> start(left) + (right == null ? "" : start(right))).to(output);
            }
            case "stream-join" -> {
                var others = builder.<String, String>stream(second).peek((key, value) -> see());
                stream.peek((key, value) -> see()).join(others, (left, right) -> start(left) + start(right),
                    JoinWindows.ofTimeDifferenceAndGrace(JOIN_DIFFERENCE, JOIN_GRACE)).to(output);
            }
            case "table-join" -> {
                var lefts = stream.peek((key, value) -> see()).toTable(Materialized.as("lefts"));
                var rights = builder.<String, String>stream(second).peek((key, value) -> see()).toTable(Materialized.as("rights"));
                lefts.join(rights, (left, right) -> start(left) + start(right)).toStream().to(output);
            }
            case "latest" -> stream.peek((key, value) -> see()).groupByKey()
                .reduce((before, now) -> now, Materialized.as("latest")).toStream().to(output);
            default -> throw new IllegalArgumentException("no job " + job);
        }
    }

    private static String start(String value) {
        return value.substring(0, Math.min(10, value.length()));
    }

    /** Keys of the restored store and the sum of their counts. */
    private static long[] held(KafkaStreams streams) {
        long[] held = new long[2];
        var store = streams.store(StoreQueryParameters.fromNameAndType("counts", QueryableStoreTypes.<String, Long>keyValueStore()));
        try (var rows = store.all()) {
            while (rows.hasNext()) {
                held[0]++;
                held[1] += rows.next().value;
            }
        }
        return held;
    }

    private static class Restored implements StateRestoreListener {
        long begin, end, records;

        public synchronized void onRestoreStart(TopicPartition partition, String store, long from, long to) {
            if (begin == 0) begin = System.nanoTime();
        }

        public void onBatchRestored(TopicPartition partition, String store, long to, long count) {}

        public synchronized void onRestoreEnd(TopicPartition partition, String store, long total) {
            end = System.nanoTime();
            records += total;
        }
    }
}
