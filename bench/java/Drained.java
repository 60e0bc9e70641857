import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;

/**
 * Whether an application has done all there is to do: everything in its inputs and in its own topics is read and that is committed.
 *
 * <ol>
 * <li>The committed positions are read. Those of the inputs, which nobody writes to, must stand at their ends.
 * <li>Then the ends of the application's own topics, in which no record may lie behind the position that was read before. An end
 *     counts records of open transactions, behind which no reader of committed records comes.
 * <li>Then these ends again, which must not have moved.
 * </ol>
 * So at the end of the second step no record was left in any topic, nor on the way: what a task writes, of its record caches too, is
 * in the topic before its position is committed.
 */
final class Drained implements AutoCloseable {
    /** The longest that the end of a topic may be looked for; then it is asked again. */
    private static final Duration LOOK_MAX = Duration.ofMillis(500);

    private final Admin admin;
    /** Looks for records; one for all questions, because these come often, beside what is measured, and a new one costs more than all else. */
    private final KafkaConsumer<byte[], byte[]> consumer;

    Drained(Properties settings, Admin admin) {
        this.admin = admin;
        Properties own = new Properties();
        own.putAll(settings);
        // One record is as much of an answer as all.
        own.put("max.partition.fetch.bytes", "4096");
        consumer = Judge.consumer(own);
    }

    @Override
    public void close() {
        consumer.close();
    }

    boolean is(String application, List<String> inputs) throws Exception {
        Map<TopicPartition, Long> positions = positions(application);
        if (!ends(inputs).entrySet().stream().allMatch(end -> positions.getOrDefault(end.getKey(), 0L) >= end.getValue())) return false;
        var own = admin.listTopics().names().get().stream()
            .filter(name -> name.startsWith(application + "-") && !name.equals(application + "-out") && !name.endsWith("-changelog")).toList();
        Map<TopicPartition, Long> ends = ends(own);
        return isRead(positions, ends) && ends(own).equals(ends);
    }

    private Map<TopicPartition, Long> positions(String application) throws Exception {
        try {
            var positions = admin.listConsumerGroupOffsets(application).partitionsToOffsetAndMetadata().get();
            return positions.entrySet().stream().filter(it -> it.getValue() != null)
                .collect(Collectors.toMap(Map.Entry::getKey, it -> it.getValue().offset()));
        } catch (ExecutionException failure) {
            if (failure.getCause() instanceof GroupIdNotFoundException) return Map.of();
            throw failure;
        }
    }

    private Map<TopicPartition, Long> ends(Collection<String> topics) throws Exception {
        if (topics.isEmpty()) return Map.of();
        Map<TopicPartition, OffsetSpec> latest = new HashMap<>();
        for (var topic : admin.describeTopics(topics).allTopicNames().get().values())
            topic.partitions().forEach(it -> latest.put(new TopicPartition(topic.name(), it.partition()), OffsetSpec.latest()));
        return admin.listOffsets(latest).all().get().entrySet().stream()
            .collect(Collectors.toMap(Map.Entry::getKey, it -> it.getValue().offset()));
    }

    /** Whether between positions and ends there is nothing but markers of transactions. */
    private boolean isRead(Map<TopicPartition, Long> positions, Map<TopicPartition, Long> ends) {
        var open = ends.entrySet().stream().filter(end -> positions.getOrDefault(end.getKey(), 0L) < end.getValue()).map(Map.Entry::getKey).toList();
        if (open.isEmpty()) return true;
        long until = System.nanoTime() + LOOK_MAX.toNanos();
        consumer.assign(open);
        open.forEach(it -> consumer.seek(it, positions.getOrDefault(it, 0L)));
        while (open.stream().anyMatch(it -> consumer.position(it) < ends.get(it))) {
            if (System.nanoTime() > until || !consumer.poll(Duration.ofMillis(20)).isEmpty()) return false;
        }
        return true;
    }
}
