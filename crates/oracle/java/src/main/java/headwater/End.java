package headwater;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Whether everything that an application reads is consumed and committed, by what the broker says. */
final class End implements AutoCloseable {
    private final Arguments arguments;
    private final Admin admin;
    private final KafkaConsumer<byte[], byte[]> reader;
    /** Ranges of offsets with markers and aborted records only. */
    private final Map<TopicPartition, List<Long>> empty = new HashMap<>();

    End(final Arguments arguments) {
        this.arguments = arguments;
        admin = Topics.admin(arguments);
        reader = Topics.reader(arguments);
    }

    @Override
    public void close() {
        reader.close();
        admin.close();
    }

    static String lag(final Arguments arguments) throws Exception {
        try (Admin admin = Topics.admin(arguments)) {
            final Set<String> inputs = inputs(arguments);
            final List<TopicPartition> partitions = partitions(admin, inputs);
            final Map<TopicPartition, Long> committed = committed(admin, arguments);
            final Map<TopicPartition, Long> ends = Topics.offsets(admin, partitions, OffsetSpec.latest());
            long lag = 0;
            for (final TopicPartition partition : partitions) {
                lag += ends.get(partition) - committed.getOrDefault(partition, 0L);
            }
            return Long.toString(lag);
        }
    }

    boolean isReached() throws Exception {
        try {
            // Committed offsets first: what they caused was written before them, so the ends that are read afterwards include it.
            final Map<TopicPartition, Long> committed = committed(admin, arguments);
            final List<TopicPartition> partitions = partitions(admin, read());
            final Map<TopicPartition, Long> firsts = Topics.offsets(admin, partitions, OffsetSpec.earliest());
            final Map<TopicPartition, Long> ends = Topics.offsets(admin, partitions, OffsetSpec.latest());
            final Map<TopicPartition, Long> stable = new HashMap<>();
            final Map<TopicPartition, OffsetSpec> latest = new HashMap<>();
            partitions.forEach(partition -> latest.put(partition, OffsetSpec.latest()));
            admin.listOffsets(latest, new ListOffsetsOptions(IsolationLevel.READ_COMMITTED)).all().get()
                .forEach((partition, found) -> stable.put(partition, found.offset()));
            for (final TopicPartition partition : partitions) {
                final long at = Math.max(firsts.get(partition), committed.getOrDefault(partition, 0L));
                final long end = ends.get(partition);
                if (at < end && (stable.get(partition) < end || hasRecord(partition, at, end))) {
                    return false;
                }
            }
            return true;
        } catch (final ExecutionException error) {
            if (isAbsent(error)) {
                return false;
            }
            throw error;
        }
    }

    private boolean hasRecord(final TopicPartition partition, final long from, final long to) {
        if (List.of(from, to).equals(empty.get(partition))) {
            return false;
        }
        reader.assign(List.of(partition));
        reader.seek(partition, from);
        final long until = System.currentTimeMillis() + 2000;
        while (reader.position(partition) < to) {
            if (!reader.poll(Duration.ofMillis(100)).isEmpty() || System.currentTimeMillis() > until) {
                return true;
            }
        }
        empty.put(partition, List.of(from, to));
        return false;
    }

    /** Inputs, and of the internal topics those that are read again. */
    private Set<String> read() throws Exception {
        final Set<String> topics = inputs(arguments);
        for (final String name : admin.listTopics().names().get()) {
            if (name.startsWith(arguments.applicationId() + "-") && !name.endsWith("-changelog")) {
                topics.add(name);
            }
        }
        return topics;
    }

    private static Set<String> inputs(final Arguments arguments) {
        final Set<String> topics = new TreeSet<>();
        Topologies.inputs(arguments.get("--topology")).forEach(name -> topics.add(arguments.topic(name)));
        return topics;
    }

    private static List<TopicPartition> partitions(final Admin admin, final Set<String> topics) throws Exception {
        final List<TopicPartition> partitions = new ArrayList<>();
        for (final TopicDescription topic : admin.describeTopics(topics).allTopicNames().get().values()) {
            topic.partitions().forEach(one -> partitions.add(new TopicPartition(topic.name(), one.partition())));
        }
        return partitions;
    }

    private static Map<TopicPartition, Long> committed(final Admin admin, final Arguments arguments) throws Exception {
        final Map<TopicPartition, Long> committed = new HashMap<>();
        try {
            final Map<TopicPartition, OffsetAndMetadata> found =
                admin.listConsumerGroupOffsets(arguments.applicationId()).partitionsToOffsetAndMetadata().get();
            found.forEach((partition, offset) -> {
                if (offset != null) {
                    committed.put(partition, offset.offset());
                }
            });
        } catch (final ExecutionException error) {
            if (!isAbsent(error)) {
                throw error;
            }
        }
        return committed;
    }

    private static boolean isAbsent(final ExecutionException error) {
        return error.getCause() instanceof GroupIdNotFoundException || error.getCause() instanceof UnknownTopicOrPartitionException;
    }
}
