package headwater;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.TreeSet;
import java.util.concurrent.Future;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.ClassicGroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** What an application's topics are given and what they hold. */
final class Topics {
    /** Stands for no value in files. */
    private static final String NULL = "\\N";
    private static final long DUMP_LIMIT_MS = 30_000;
    private static final long VACANT_LIMIT_MS = 60_000;

    private Topics() {
    }

    static Admin admin(final Arguments arguments) {
        return Admin.create(Map.of("bootstrap.servers", arguments.servers()));
    }

    static KafkaConsumer<byte[], byte[]> reader(final Arguments arguments) {
        final Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments.servers());
        settings.put("isolation.level", "read_committed");
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static Map<TopicPartition, Long> offsets(
        final Admin admin,
        final List<TopicPartition> partitions,
        final OffsetSpec spec
    ) throws Exception {
        final Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
        partitions.forEach(partition -> wanted.put(partition, spec));
        final Map<TopicPartition, Long> offsets = new HashMap<>();
        admin.listOffsets(wanted).all().get().forEach((partition, found) -> offsets.put(partition, found.offset()));
        return offsets;
    }

    static String create(final Arguments arguments) throws Exception {
        final int partitions = Integer.parseInt(arguments.get("--partitions", "2"));
        final List<String> names = new ArrayList<>(Topologies.inputs(arguments.get("--topology")));
        names.add("out");
        final List<NewTopic> topics = new ArrayList<>();
        for (final String name : names) {
            final NewTopic topic = new NewTopic(arguments.topic(name), Optional.of(partitions), Optional.empty());
            topics.add(topic.configs(Map.of("retention.ms", "-1")));
        }
        try (Admin admin = admin(arguments)) {
            admin.createTopics(topics).all().get();
        }
        return names.size() + " topics";
    }

    /**
     * The default partitioner chooses. A file's order is each partition's: one request is in flight at a time, because a leader that has
     * just been made may refuse a partition's first batch and accept its second.
     */
    static String produce(final Arguments arguments) throws Exception {
        final Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments.servers());
        settings.put("acks", "all");
        settings.put("enable.idempotence", "true");
        settings.put("max.in.flight.requests.per.connection", "1");
        int sent = 0;
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            final List<Future<RecordMetadata>> answers = new ArrayList<>();
            for (final String line : Files.readAllLines(Path.of(arguments.get("--file")))) {
                answers.add(producer.send(record(arguments, line)));
                sent++;
            }
            for (final Future<RecordMetadata> answer : answers) {
                answer.get();
            }
        }
        return sent + " records";
    }

    private static ProducerRecord<String, String> record(final Arguments arguments, final String line) {
        final String[] fields = line.split("\t", -1);
        final String value = fields[2].equals(NULL) ? null : fields[2];
        final String topic = arguments.topic(fields[0]);
        final ProducerRecord<String, String> record =
            new ProducerRecord<>(topic, null, Long.parseLong(fields[3]), fields[1], value);
        if (!fields[4].isEmpty()) {
            final String[] header = fields[4].split("=", 2);
            record.headers().add(header[0], header[1].getBytes(StandardCharsets.UTF_8));
        }
        return record;
    }

    /** Lines of topic, partition, offset, key, value, timestamp, headers, bytes in hexadecimal; then topics and settings. */
    static String dump(final Arguments arguments) throws Exception {
        long count = 0;
        try (Admin admin = admin(arguments);
             KafkaConsumer<byte[], byte[]> reader = reader(arguments);
             PrintWriter file = new PrintWriter(Files.newBufferedWriter(Path.of(arguments.get("--file"))))) {
            final List<TopicPartition> partitions = new ArrayList<>();
            for (final String name : owned(admin, arguments)) {
                final int size = admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().size();
                for (int partition = 0; partition < size; partition++) {
                    partitions.add(new TopicPartition(name, partition));
                }
            }
            final Map<TopicPartition, Long> ends = offsets(admin, partitions, OffsetSpec.latest());
            reader.assign(partitions);
            reader.seekToBeginning(partitions);
            final long until = System.currentTimeMillis() + DUMP_LIMIT_MS;
            while (partitions.stream().anyMatch(partition -> reader.position(partition) < ends.get(partition))) {
                if (System.currentTimeMillis() > until) {
                    throw new IllegalStateException("the end is not reached: a transaction is open");
                }
                for (final ConsumerRecord<byte[], byte[]> record : reader.poll(Duration.ofMillis(100))) {
                    file.println(line(record));
                    count++;
                }
            }
            settings(admin, owned(admin, arguments)).forEach(file::println);
        }
        return count + " records";
    }

    /** Lines of topic and settings, those that it was given. */
    private static List<String> settings(final Admin admin, final TreeSet<String> names) throws Exception {
        final List<ConfigResource> wanted = new ArrayList<>();
        names.forEach(name -> wanted.add(new ConfigResource(ConfigResource.Type.TOPIC, name)));
        final List<String> lines = new ArrayList<>();
        admin.describeConfigs(wanted).all().get().forEach((topic, config) -> {
            final TreeSet<String> given = new TreeSet<>();
            for (final ConfigEntry entry : config.entries()) {
                if (entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG) {
                    given.add(entry.name() + "=" + entry.value());
                }
            }
            lines.add(topic.name() + "\t" + String.join(" ", given));
        });
        return lines;
    }

    private static String line(final ConsumerRecord<byte[], byte[]> record) {
        final StringBuilder headers = new StringBuilder();
        for (final Header header : record.headers()) {
            headers.append(header.key()).append('=').append(hex(header.value())).append(';');
        }
        return String.join("\t", record.topic(), Integer.toString(record.partition()), Long.toString(record.offset()),
            hex(record.key()), hex(record.value()), Long.toString(record.timestamp()), headers);
    }

    private static String hex(final byte[] bytes) {
        return bytes == null ? NULL : HexFormat.of().formatHex(bytes);
    }

    /** A classic group takes members of another protocol only when it has none; those that were killed stay as long as their sessions. */
    static String vacant(final Arguments arguments) throws Exception {
        final String group = arguments.applicationId();
        try (Admin admin = admin(arguments)) {
            final long until = System.currentTimeMillis() + VACANT_LIMIT_MS;
            while (System.currentTimeMillis() < until) {
                final ClassicGroupState state =
                    admin.describeClassicGroups(List.of(group)).describedGroups().get(group).get().state();
                if (state == ClassicGroupState.EMPTY || state == ClassicGroupState.DEAD) {
                    return state.toString();
                }
                Thread.sleep(100);
            }
        }
        throw new IllegalStateException("the group still has members");
    }

    static String drop(final Arguments arguments) throws Exception {
        try (Admin admin = admin(arguments)) {
            final TreeSet<String> owned = owned(admin, arguments);
            admin.deleteTopics(owned).all().get();
            return owned.size() + " topics";
        }
    }

    private static TreeSet<String> owned(final Admin admin, final Arguments arguments) throws Exception {
        final TreeSet<String> names = new TreeSet<>(admin.listTopics().names().get());
        names.removeIf(name -> !arguments.owns(name));
        return names;
    }
}
