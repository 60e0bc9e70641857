import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.Random;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Reading and writing alone, by Apache Kafka's own clients: what {@code headwater-bench kafka consume} and {@code produce} do.
 * One JSON line a run; CPU time and memory are measured by whoever starts it.
 *
 * <pre>
 * ClientYardstick BOOTSTRAP consume TOPIC RECORDS
 * ClientYardstick BOOTSTRAP produce TOPIC RECORDS KEYS VALUE_BYTES
 * </pre>
 * A setting is a system property {@code -Dset.NAME=VALUE}.
 */
public class ClientYardstick {
    /** Distinct records that "produce" keeps in memory and writes in turn. */
    private static final int PREPARED_RECORDS = 100_000;

    public static void main(String[] words) throws Exception {
        String bootstrap = words[0], job = words[1], subject = words[2];
        switch (job) {
            case "consume" -> consume(bootstrap, subject, Long.parseLong(words[3]));
            case "produce" -> produce(bootstrap, subject, Integer.parseInt(words[3]), Integer.parseInt(words[4]), Integer.parseInt(words[5]));
            default -> throw new IllegalArgumentException("no job " + job);
        }
    }

    private static Properties settings(String bootstrap) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        addGiven(settings);
        return settings;
    }

    /** The settings of the command line, over those that are there. */
    static void addGiven(Properties settings) {
        System.getProperties().forEach((name, value) -> {
            if (name.toString().startsWith("set.")) settings.put(name.toString().substring("set.".length()), value);
        });
    }

    private static void line(String job, long records, long first, long last, long closed, long startToRunningMs) {
        System.out.printf("{\"job\":\"%s\",\"records\":%d,\"seconds\":%.4f,\"seconds_closed\":%.4f,\"start_to_running_ms\":%d}%n",
            job, records, (last - first) / 1e9, (closed - first) / 1e9, startToRunningMs);
    }

    static List<TopicPartition> partitions(KafkaConsumer<?, ?> consumer, String topic) {
        return consumer.partitionsFor(topic).stream().map(it -> new TopicPartition(topic, it.partition())).toList();
    }

    private static void consume(String bootstrap, String topic, long records) {
        long seen = 0, bytes = 0, first = 0, last;
        try (var consumer = new KafkaConsumer<>(settings(bootstrap), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            var partitions = partitions(consumer, topic);
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            while (seen < records) {
                var polled = consumer.poll(Duration.ofMillis(500));
                if (first == 0 && !polled.isEmpty()) first = System.nanoTime();
                for (var record : polled) {
                    seen++;
                    bytes += record.key().length + record.value().length;
                }
            }
            last = System.nanoTime();
        }
        if (bytes == 0) throw new IllegalStateException("nothing came");
        line("consume", seen, first, last, System.nanoTime(), 0);
    }

    private static void produce(String bootstrap, String topic, int records, int keys, int valueBytes) {
        Random random = new Random(42);
        List<byte[][]> prepared = new ArrayList<>(PREPARED_RECORDS);
        for (int i = 0; i < PREPARED_RECORDS; i++) {
            double draw = random.nextDouble();
            byte[] value = new byte[valueBytes];
            byte[] key = String.format("k%07d", (int) (keys * draw * draw)).getBytes();
            random.nextBytes(value);
            for (int at = 0; at < valueBytes; at++) value[at] = (byte) (32 + Byte.toUnsignedInt(value[at]) % 90);
            prepared.add(new byte[][] {key, value});
        }
        Properties settings = settings(bootstrap);
        settings.putIfAbsent("linger.ms", "20");
        settings.putIfAbsent("batch.size", "262144");
        long first, last;
        try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            producer.partitionsFor(topic);
            first = System.nanoTime();
            for (int i = 0; i < records; i++) {
                byte[][] record = prepared.get(i % PREPARED_RECORDS);
                producer.send(new ProducerRecord<>(topic, null, 1_700_000_000_000L + i % PREPARED_RECORDS / 100, record[0], record[1]),
                    (written, failure) -> { if (failure != null) { failure.printStackTrace(); System.exit(1); } });
            }
            producer.flush();
            last = System.nanoTime();
        }
        line("produce", records, first, last, System.nanoTime(), 0);
    }
}
