import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

/**
 * The jobs of {@code headwater-bench kafka} done by Apache Kafka's own clients and Kafka Streams, and the judge of outputs.
 * One JSON line a run; CPU time and memory are measured by whoever starts it.
 *
 * <pre>
 * KafkaYardstick BOOTSTRAP count|count-memory APPLICATION RECORDS STATE_DIR   reads "events", writes APPLICATION-out
 * KafkaYardstick BOOTSTRAP consume TOPIC RECORDS
 * KafkaYardstick BOOTSTRAP produce TOPIC RECORDS KEYS VALUE_BYTES
 * KafkaYardstick BOOTSTRAP sum TOPIC                                          committed counts: records, keys, sum of the last of each key
 * KafkaYardstick BOOTSTRAP held TOPIC                                         records of a topic
 * </pre>
 * A setting is a system property {@code -Dset.NAME=VALUE}.
 */
public class KafkaYardstick {
    /** Distinct records that "produce" keeps in memory and writes in turn. */
    private static final int PREPARED_RECORDS = 100_000;

    public static void main(String[] words) throws Exception {
        String bootstrap = words[0], job = words[1], subject = words[2];
        switch (job) {
            case "count", "count-memory" -> count(bootstrap, job, subject, Long.parseLong(words[3]), words[4]);
            case "consume" -> consume(bootstrap, subject, Long.parseLong(words[3]));
            case "produce" -> produce(bootstrap, subject, Integer.parseInt(words[3]), Integer.parseInt(words[4]), Integer.parseInt(words[5]));
            case "sum" -> sum(bootstrap, subject);
            case "held" -> held(bootstrap, subject);
            default -> throw new IllegalArgumentException("no job " + job);
        }
    }

    private static Properties settings(String bootstrap) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        System.getProperties().forEach((name, value) -> {
            if (name.toString().startsWith("set.")) settings.put(name.toString().substring("set.".length()), value);
        });
        return settings;
    }

    private static void line(String job, long records, long first, long last, long closed, long startToRunningMs) {
        System.out.printf("{\"job\":\"%s\",\"records\":%d,\"seconds\":%.4f,\"seconds_closed\":%.4f,\"start_to_running_ms\":%d}%n",
            job, records, (last - first) / 1e9, (closed - first) / 1e9, startToRunningMs);
    }

    private static void count(String bootstrap, String job, String application, long records, String stateDir) throws Exception {
        Properties settings = settings(bootstrap);
        settings.put("application.id", application);
        settings.put("state.dir", stateDir);
        settings.put("auto.offset.reset", "earliest");
        settings.putIfAbsent("processing.guarantee", "exactly_once_v2");
        settings.putIfAbsent("num.stream.threads", "1");
        settings.put("default.key.serde", Serdes.StringSerde.class);
        settings.put("default.value.serde", Serdes.StringSerde.class);

        LongAdder seen = new LongAdder();
        long[] first = new long[1];
        StreamsBuilder builder = new StreamsBuilder();
        var grouped = builder.<String, String>stream("events").peek((key, value) -> {
            if (first[0] == 0) synchronized (first) { if (first[0] == 0) first[0] = System.nanoTime(); }
            seen.increment();
        }).groupByKey();
        var counts = job.equals("count")
            ? grouped.count(Materialized.as("counts"))
            : grouped.count(Materialized.as(Stores.inMemoryKeyValueStore("counts")));
        counts.toStream().to(application + "-out", Produced.with(Serdes.String(), Serdes.Long()));

        long begun = ManagementFactory.getRuntimeMXBean().getStartTime();
        long[] running = new long[1];
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING && running[0] == 0) running[0] = System.currentTimeMillis();
        });
        streams.start();
        while (seen.sum() < records) Thread.sleep(2);
        long last = System.nanoTime();
        streams.close(Duration.ofSeconds(60));
        line(job, records, first[0], last, System.nanoTime(), running[0] - begun);
    }

    private static List<TopicPartition> partitions(KafkaConsumer<?, ?> consumer, String topic) {
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

    /** Reads what is committed, to the ends that stand at the start. */
    private static void sum(String bootstrap, String topic) {
        Properties settings = settings(bootstrap);
        settings.put("isolation.level", "read_committed");
        Map<String, Long> last = new HashMap<>();
        long records = 0;
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new LongDeserializer())) {
            var partitions = partitions(consumer, topic);
            var ends = consumer.endOffsets(partitions);
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            while (partitions.stream().anyMatch(it -> consumer.position(it) < ends.get(it))) {
                for (var record : consumer.poll(Duration.ofMillis(500))) {
                    records++;
                    last.put(new String(record.key()), record.value());
                }
            }
        }
        long sum = last.values().stream().mapToLong(Long::longValue).sum();
        System.out.printf("{\"records\":%d,\"keys\":%d,\"sum\":%d}%n", records, last.size(), sum);
    }

    private static void held(String bootstrap, String topic) {
        try (var consumer = new KafkaConsumer<>(settings(bootstrap), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            var partitions = partitions(consumer, topic);
            long ends = consumer.endOffsets(partitions).values().stream().mapToLong(Long::longValue).sum();
            long begins = consumer.beginningOffsets(partitions).values().stream().mapToLong(Long::longValue).sum();
            System.out.printf("{\"records\":%d}%n", ends - begins);
        }
    }
}
