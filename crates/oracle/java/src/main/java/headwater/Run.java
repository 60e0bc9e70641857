package headwater;

import java.io.File;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;

import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TopologyConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/** Runs one topology until SIGTERM, the end of its input or the time given. It leaves its group when it goes, unless told otherwise. */
final class Run {
    /** Retention goes by the broker's clock, and records have timestamps long past. */
    private static final String CENTURY_MS = "3155760000000";
    /** For so long everything must have been at its end. */
    private static final long QUIET_MS = 1000;
    private static final long LOOK_MS = 100;

    private static final AtomicBoolean ASKED = new AtomicBoolean();
    private static final AtomicBoolean HOOKED = new AtomicBoolean();

    private Run() {
    }

    static String run(final Arguments arguments) throws Exception {
        endOnRequest();
        final Properties settings = settings(arguments);
        final StreamsBuilder builder = new StreamsBuilder(new TopologyConfig(new StreamsConfig(settings)));
        Topologies.build(builder, arguments);
        final AtomicReference<Throwable> failure = new AtomicReference<>();
        final KafkaStreams streams = new KafkaStreams(builder.build(settings), settings);
        final StreamThreadExceptionResponse response =
            StreamThreadExceptionResponse.valueOf(arguments.get("--uncaught", "SHUTDOWN_CLIENT"));
        // Whoever ends the whole application must not be closed before the others have heard of it: it ends by itself.
        final BooleanSupplier hasFailed =
            () -> response == StreamThreadExceptionResponse.SHUTDOWN_CLIENT && failure.get() != null;
        streams.setUncaughtExceptionHandler(error -> {
            failure.compareAndSet(null, error);
            return response;
        });
        streams.setStateListener((now, before) -> System.err.println(arguments.applicationId() + " is " + now));
        final boolean isDone;
        try {
            streams.start();
            isDone = watch(arguments, streams, hasFailed);
        } finally {
            // What close() does without options, in a classic group, is to remain.
            final boolean isRemaining = arguments.get("--leave", "yes").equals("no");
            streams.close(CloseOptions
                .groupMembershipOperation(isRemaining
                    ? CloseOptions.GroupMembershipOperation.REMAIN_IN_GROUP
                    : CloseOptions.GroupMembershipOperation.LEAVE_GROUP)
                .withTimeout(Duration.ofSeconds(60)));
        }
        if (failure.get() != null) {
            throw new IllegalStateException("a stream thread failed", failure.get());
        }
        if (!isDone) {
            throw new IllegalStateException("not at the end after --seconds; " + streams.state());
        }
        return "stopped";
    }

    /** Whether it ended as it should: by request, or at the end if that was the task, else by time. */
    private static boolean watch(
        final Arguments arguments,
        final KafkaStreams streams,
        final BooleanSupplier hasFailed
    ) throws Exception {
        final long begin = System.currentTimeMillis();
        final long limitMs = (long) (1000 * Double.parseDouble(arguments.get("--seconds", "1e9")));
        final boolean isToEnd = arguments.has("--to-end");
        long quietSince = Long.MAX_VALUE;
        try (End end = new End(arguments)) {
            while (!ASKED.get() && !hasFailed.getAsBoolean() && !streams.state().hasCompletedShutdown()) {
                final long now = System.currentTimeMillis();
                if (now - begin >= limitMs) {
                    return !isToEnd;
                }
                if (isToEnd) {
                    final boolean isAtEnd = streams.state() == KafkaStreams.State.RUNNING && end.isReached();
                    quietSince = isAtEnd ? Math.min(quietSince, now) : Long.MAX_VALUE;
                    if (isAtEnd && now - quietSince >= QUIET_MS) {
                        return true;
                    }
                }
                Thread.sleep(LOOK_MS);
            }
        }
        return ASKED.get();
    }

    private static Properties settings(final Arguments arguments) {
        final Properties settings = new Properties();
        settings.put("default.key.serde", Serdes.StringSerde.class.getName());
        settings.put("default.value.serde", Serdes.StringSerde.class.getName());
        settings.put("commit.interval.ms", "100");
        settings.put("auto.offset.reset", "earliest");
        settings.put("windowstore.changelog.additional.retention.ms", CENTURY_MS);
        // Results of outer joins come when stream time says so, not once per second of the wall clock.
        settings.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_OUTER_JOIN_SPURIOUS_RESULTS_FIX, "0");
        settings.put("application.id", arguments.applicationId());
        settings.put("bootstrap.servers", arguments.servers());
        settings.put("state.dir", arguments.get("--state-dir"));
        settings.put("processing.guarantee", arguments.get("--guarantee", "at_least_once"));
        settings.put("group.protocol", arguments.get("--group-protocol", "classic"));
        settings.put("num.stream.threads", arguments.get("--threads", "1"));
        settings.putAll(arguments.settings);
        new File(arguments.get("--state-dir")).mkdirs();
        return settings;
    }

    /** SIGTERM ends every run in order; the main thread then halts the machine. */
    private static void endOnRequest() {
        if (!HOOKED.compareAndSet(false, true)) {
            return;
        }
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            ASKED.set(true);
            try {
                new CountDownLatch(1).await();
            } catch (final InterruptedException ended) {
                // The machine ends anyway.
            }
        }));
    }
}
