import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Makes topics and judges outputs, by Apache Kafka's own clients: <pre>Judge BOOTSTRAP</pre> and then a line for each request, a
 * JSON line for each answer; an answer with "error" is a failure.
 *
 * <pre>
 * create TOPIC PARTITIONS  answered when the topic can be written
 * delete PREFIX            all topics whose names begin so
 * held TOPIC               {"records"}: offsets between begin and end
 * read TOPIC               what is committed: {"records", "digest", "keys", "sum", "last_digest"}
 * drained NAME TOPIC ..    {"is_drained"}: whether application NAME has nothing left to do, in these topics or in its own
 * </pre>
 * Digests are sums of a hash of each record, so that they do not depend on the order across partitions: "digest" of all records,
 * with their timestamps; "last_digest" of the last of each key, without. "keys" are those whose last record has a value, "sum"
 * adds up the last values that are eight bytes.
 */
public class Judge {
    private static final Duration CREATE_MAX = Duration.ofSeconds(30);
    private static final Duration READ_MAX = Duration.ofSeconds(180);

    public static void main(String[] words) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", words[0]);
        var requests = new BufferedReader(new InputStreamReader(System.in));
        try (Admin admin = Admin.create(settings); Drained drained = new Drained(settings, admin)) {
            for (String line; (line = requests.readLine()) != null; ) {
                String answer;
                try {
                    answer = answer(settings, admin, drained, line.split(" "));
                } catch (Exception failure) {
                    answer = "{\"error\":\"" + failure.toString().replaceAll("[^ -~]|[\"\\\\]", "'") + "\"}";
                }
                System.out.println(answer);
            }
        }
    }

    private static String answer(Properties settings, Admin admin, Drained drained, String[] request) throws Exception {
        String subject = request[1];
        switch (request[0]) {
            case "create" -> {
                int partitions = Integer.parseInt(request[2]);
                admin.createTopics(List.of(new NewTopic(subject, Optional.of(partitions), Optional.empty()))).all().get();
                // Answered once every leader serves its partition: not every client asks twice.
                Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
                for (int partition = 0; partition < partitions; partition++) ends.put(new TopicPartition(subject, partition), OffsetSpec.latest());
                long until = System.nanoTime() + CREATE_MAX.toNanos();
                while (!serves(admin, ends)) {
                    if (System.nanoTime() > until) throw new IllegalStateException(subject + " is not served within " + CREATE_MAX);
                    Thread.sleep(20);
                }
                return "{}";
            }
            case "delete" -> {
                var names = admin.listTopics().names().get().stream().filter(name -> name.startsWith(subject)).toList();
                admin.deleteTopics(names).all().get();
                return "{\"topics\":" + names.size() + "}";
            }
            case "held" -> {
                return held(settings, subject);
            }
            case "read" -> {
                return read(settings, subject);
            }
            case "drained" -> {
                var inputs = List.of(request).subList(2, request.length);
                return "{\"is_drained\":" + drained.is(subject, inputs) + "}";
            }
            default -> throw new IllegalArgumentException("no request " + request[0]);
        }
    }

    private static boolean serves(Admin admin, Map<TopicPartition, OffsetSpec> ends) throws InterruptedException {
        try {
            admin.listOffsets(ends).all().get();
            return true;
        } catch (ExecutionException notYet) {
            return false;
        }
    }

    static KafkaConsumer<byte[], byte[]> consumer(Properties settings) {
        Properties own = new Properties();
        own.putAll(settings);
        own.put("isolation.level", "read_committed");
        own.put("max.poll.records", "20000");
        return new KafkaConsumer<>(own, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static String held(Properties settings, String topic) {
        try (var consumer = consumer(settings)) {
            var partitions = ClientYardstick.partitions(consumer, topic);
            long ends = consumer.endOffsets(partitions).values().stream().mapToLong(Long::longValue).sum();
            long begins = consumer.beginningOffsets(partitions).values().stream().mapToLong(Long::longValue).sum();
            return "{\"records\":" + (ends - begins) + "}";
        }
    }

    /** Reads to the ends that stand at the start. */
    private static String read(Properties settings, String topic) {
        Map<String, Last> last = new HashMap<>();
        long records = 0, digest = 0, until = System.nanoTime() + READ_MAX.toNanos();
        try (var consumer = consumer(settings)) {
            var partitions = ClientYardstick.partitions(consumer, topic);
            var ends = consumer.endOffsets(partitions);
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            while (partitions.stream().anyMatch(it -> consumer.position(it) < ends.get(it))) {
                if (System.nanoTime() > until) throw new IllegalStateException(topic + " was not read to its end within " + READ_MAX);
                for (var record : consumer.poll(Duration.ofMillis(200))) {
                    records++;
                    long hash = hash(record);
                    digest += mix(hash, record.timestamp());
                    String key = new String(record.key(), StandardCharsets.ISO_8859_1);
                    if (record.value() == null) last.remove(key);
                    else last.put(key, new Last(hash, number(record.value())));
                }
            }
        }
        long sum = last.values().stream().mapToLong(Last::number).sum();
        long lastDigest = last.values().stream().mapToLong(Last::hash).sum();
        return String.format("{\"records\":%d,\"digest\":\"%016x\",\"keys\":%d,\"sum\":%d,\"last_digest\":\"%016x\"}",
            records, digest, last.size(), sum, lastDigest);
    }

    private record Last(long hash, long number) {}

    private static long number(byte[] value) {
        long number = 0;
        for (byte one : value) number = number << 8 | Byte.toUnsignedLong(one);
        return value.length == Long.BYTES ? number : 0;
    }

    private static long hash(ConsumerRecord<byte[], byte[]> record) {
        long hash = mix(0x9E3779B97F4A7C15L, record.key().length);
        for (byte one : record.key()) hash = mix(hash, one);
        if (record.value() != null) for (byte one : record.value()) hash = mix(hash, one);
        return hash;
    }

    /** One round of a multiplicative hash; enough to tell outputs apart that differ by mistake. */
    private static long mix(long hash, long value) {
        long mixed = (hash ^ value) * 0xFF51AFD7ED558CCDL;
        return mixed ^ mixed >>> 32;
    }
}
