package headwater;

import java.time.Duration;
import java.util.List;

import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SessionWindowedSerializer;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.TimeWindowedSerializer;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.SessionStore;

/** One topology for each kind of state. Our side of each is the case file of the same name beside the tests. */
final class Topologies {
    private static final Serde<String> TEXT = Serdes.String();
    private static final Serde<Long> COUNT = Serdes.Long();

    private Topologies() {
    }

    /** The short names of the input topics. */
    static List<String> inputs(final String topology) {
        switch (topology) {
            case "outer_join":
            case "table_join":
            case "foreign_key_join":
                return List.of("left", "right");
            default:
                return List.of("in");
        }
    }

    static void build(final StreamsBuilder builder, final Arguments arguments) {
        final String name = arguments.get("--topology");
        switch (name) {
            case "count":
                count(builder, arguments);
                return;
            case "hopping":
                hopping(builder, arguments);
                return;
            case "tumbling":
                tumbling(builder, arguments);
                return;
            case "session":
                session(builder, arguments);
                return;
            case "outer_join":
                outerJoin(builder, arguments);
                return;
            case "table_join":
                tableJoin(builder, arguments);
                return;
            case "foreign_key_join":
                foreignKeyJoin(builder, arguments);
                return;
            case "suppress":
                suppress(builder, arguments);
                return;
            default:
                throw new IllegalArgumentException("no topology " + name);
        }
    }

    /** By the first word of the value, so behind a repartition topic. Words that begin with {@code --poison} are too much for it. */
    private static void count(final StreamsBuilder builder, final Arguments arguments) {
        final String poison = arguments.get("--poison", "\0");
        stream(builder, arguments, "in")
            .groupBy((key, value) -> swallowed(firstWord(value), poison), Grouped.with(TEXT, TEXT))
            .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("counts").withKeySerde(TEXT).withValueSerde(COUNT))
            .toStream()
            .peek((word, count) -> swallowed(word, poison))
            .to(arguments.topic("out"), Produced.with(TEXT, COUNT));
    }

    private static String swallowed(final String word, final String poison) {
        if (word.startsWith(poison)) {
            throw new IllegalStateException(word + " is poison");
        }
        return word;
    }

    private static void hopping(final StreamsBuilder builder, final Arguments arguments) {
        final TimeWindows windows = TimeWindows
            .ofSizeAndGrace(Duration.ofSeconds(60), Duration.ofSeconds(30))
            .advanceBy(Duration.ofSeconds(20));
        grouped(builder, arguments)
            .windowedBy(windows)
            .count(Materialized.with(TEXT, COUNT))
            .toStream()
            .to(arguments.topic("out"), Produced.with(written(new TimeWindowedSerializer<>(TEXT.serializer())), COUNT));
    }

    private static void tumbling(final StreamsBuilder builder, final Arguments arguments) {
        grouped(builder, arguments)
            .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofSeconds(45), Duration.ofSeconds(20)))
            .reduce((old, value) -> old + "+" + value, Materialized.with(TEXT, TEXT))
            .toStream()
            .to(arguments.topic("out"), Produced.with(written(new TimeWindowedSerializer<>(TEXT.serializer())), TEXT));
    }

    /**
     * With retention to spare. A cache that is flushed forgets the end of a merged session which has meanwhile left the store, so with
     * as little as gap and grace it depends on the moments of commits what remains.
     */
    private static void session(final StreamsBuilder builder, final Arguments arguments) {
        grouped(builder, arguments)
            .windowedBy(SessionWindows.ofInactivityGapAndGrace(Duration.ofSeconds(15), Duration.ofSeconds(30)))
            .count(Materialized.<String, Long, SessionStore<Bytes, byte[]>>with(TEXT, COUNT).withRetention(Duration.ofHours(1)))
            .toStream()
            .to(arguments.topic("out"), Produced.with(written(new SessionWindowedSerializer<>(TEXT.serializer())), COUNT));
    }

    private static void outerJoin(final StreamsBuilder builder, final Arguments arguments) {
        stream(builder, arguments, "left")
            .outerJoin(
                stream(builder, arguments, "right"),
                (left, right) -> left + "," + right,
                JoinWindows.ofTimeDifferenceAndGrace(Duration.ofSeconds(20), Duration.ofSeconds(40)),
                StreamJoined.with(TEXT, TEXT, TEXT))
            .to(arguments.topic("out"), Produced.with(TEXT, TEXT));
    }

    private static void tableJoin(final StreamsBuilder builder, final Arguments arguments) {
        table(builder, arguments, "left")
            .outerJoin(
                table(builder, arguments, "right"),
                (left, right) -> left + "," + right,
                Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as("joined").withKeySerde(TEXT).withValueSerde(TEXT))
            .toStream()
            .to(arguments.topic("out"), Produced.with(TEXT, TEXT));
    }

    /** The foreign key is what stands before the first space of the left value. */
    private static void foreignKeyJoin(final StreamsBuilder builder, final Arguments arguments) {
        table(builder, arguments, "left")
            .join(
                table(builder, arguments, "right"),
                (final String left) -> firstWord(left),
                (left, right) -> left + "," + right,
                Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as("joined").withKeySerde(TEXT).withValueSerde(TEXT))
            .toStream()
            .to(arguments.topic("out"), Produced.with(TEXT, TEXT));
    }

    private static void suppress(final StreamsBuilder builder, final Arguments arguments) {
        grouped(builder, arguments)
            .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofSeconds(30), Duration.ofSeconds(20)))
            .count(Materialized.with(TEXT, COUNT))
            .suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()))
            .toStream()
            .to(arguments.topic("out"), Produced.with(written(new TimeWindowedSerializer<>(TEXT.serializer())), COUNT));
    }

    private static KStream<String, String> stream(final StreamsBuilder builder, final Arguments arguments, final String topic) {
        return builder.stream(arguments.topic(topic), Consumed.with(TEXT, TEXT));
    }

    private static KTable<String, String> table(final StreamsBuilder builder, final Arguments arguments, final String topic) {
        return builder.table(arguments.topic(topic), Consumed.with(TEXT, TEXT));
    }

    private static KGroupedStream<String, String> grouped(final StreamsBuilder builder, final Arguments arguments) {
        return stream(builder, arguments, "in").groupByKey(Grouped.with(TEXT, TEXT));
    }

    /** Output is written and never read here. */
    private static <T> Serde<Windowed<T>> written(final Serializer<Windowed<T>> serializer) {
        return Serdes.serdeFrom(serializer, (topic, data) -> {
            throw new IllegalStateException("output is not read");
        });
    }

    private static String firstWord(final String text) {
        final int space = text.indexOf(' ');
        return space < 0 ? text : text.substring(0, space);
    }
}
