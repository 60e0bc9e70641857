import jakarta.ws.rs.GET;
import jakarta.ws.rs.NotFoundException;
import jakarta.ws.rs.Path;
import jakarta.ws.rs.PathParam;
import jakarta.ws.rs.Produces;
import jakarta.ws.rs.core.MediaType;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.HostInfo;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.util.Callback;
import org.eclipse.jetty.util.thread.QueuedThreadPool;
import org.glassfish.jersey.server.ResourceConfig;
import org.glassfish.jersey.servlet.ServletContainer;

/**
 * One instance of a Kafka Streams service that counts records by key and answers for them over HTTP, with the REST layer that such
 * services write by hand: {@code queryMetadataForKey}, a local read where the key is here, else the same GET to the instance that has it.
 *
 * <pre>QueryYardstick BOOTSTRAP LAYER APPLICATION INPUT STATE_DIR</pre>
 *
 * LAYER is "jersey" (JAX-RS in a servlet of Jetty 12, as in Confluent's examples) or "jetty" (a handler of Jetty 12 and nothing more).
 * It prints the port that it listens on, and ends when standard input ends. A setting is a system property {@code -Dset.NAME=VALUE}.
 *
 * <pre>
 * GET /stores/counts/KEY   the count
 * GET /metadata            {"stores":[{"partitions":[{"partition":0,"here":true,"active":"HOST:PORT"}]}]}
 * </pre>
 */
public class QueryYardstick {
    private static final String STORE = "counts";
    private static final String HOST = "127.0.0.1";
    /** Threads for requests; those that forward wait in one each. More than there are connections. */
    private static final int THREADS_MAX = 200;
    private static final Duration FORWARD_MAX = Duration.ofSeconds(10);

    private static KafkaStreams streams;
    private static HostInfo own;
    private static final StringSerializer keys = new StringSerializer();
    private static final Map<Integer, ReadOnlyKeyValueStore<String, Long>> partitions = new ConcurrentHashMap<>();
    private static final Map<String, String> addresses = new ConcurrentHashMap<>();
    /** HTTP/1.1: connections are kept, and nothing is negotiated. */
    private static final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    public static void main(String[] words) throws Exception {
        Server server = new Server(new QueuedThreadPool(THREADS_MAX));
        HttpConfiguration http = new HttpConfiguration();
        http.setSendServerVersion(false);
        http.setSendDateHeader(false);
        ServerConnector connector = new ServerConnector(server, new HttpConnectionFactory(http));
        connector.setHost(HOST);
        connector.open();
        own = new HostInfo(HOST, connector.getLocalPort());
        streams = new KafkaStreams(topology(words[3], words[2] + "-out").build(), settings(words));
        streams.setStateListener((now, before) -> {
            // Stores move with the tasks: handles of before are not asked again.
            partitions.clear();
            if (now == KafkaStreams.State.ERROR) System.exit(1);
        });
        server.addConnector(connector);
        server.setHandler(words[1].equals("jersey") ? jersey() : new Bare());
        streams.start();
        server.start();
        System.out.println(own.port());
        while (System.in.read() >= 0) {}
        server.stop();
        streams.close(CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP).withTimeout(Duration.ofSeconds(30)));
        System.exit(0);
    }

    private static StreamsBuilder topology(String input, String output) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream(input).groupByKey().count(Materialized.as(STORE))
            .toStream().to(output, Produced.with(Serdes.String(), Serdes.Long()));
        return builder;
    }

    private static Properties settings(String[] words) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", words[0]);
        settings.put("application.id", words[2]);
        settings.put("application.server", HOST + ":" + own.port());
        settings.put("state.dir", words[4]);
        settings.put("auto.offset.reset", "earliest");
        settings.put("default.key.serde", Serdes.StringSerde.class);
        settings.put("default.value.serde", Serdes.StringSerde.class);
        System.getProperties().forEach((name, value) -> {
            if (name.toString().startsWith("set.")) settings.put(name.toString().substring("set.".length()), value);
        });
        return settings;
    }

    /** The count as JSON, from here or from where it is; null without one. */
    private static String count(String key) throws Exception {
        var metadata = streams.queryMetadataForKey(STORE, key, keys);
        if (metadata.activeHost().equals(own)) {
            Long count = partitions.computeIfAbsent(metadata.partition(), QueryYardstick::partition).get(key);
            return count == null ? null : count.toString();
        }
        var request = HttpRequest.newBuilder(URI.create(address(metadata.activeHost()) + key)).timeout(FORWARD_MAX).build();
        var response = client.send(request, HttpResponse.BodyHandlers.ofString());
        if (response.statusCode() == 404) return null;
        if (response.statusCode() != 200) throw new IllegalStateException("the owner answers " + response.statusCode());
        return response.body();
    }

    private static String address(HostInfo host) {
        return addresses.computeIfAbsent(host.host() + ":" + host.port(), it -> "http://" + it + "/stores/" + STORE + "/");
    }

    private static ReadOnlyKeyValueStore<String, Long> partition(int partition) {
        var all = StoreQueryParameters.fromNameAndType(STORE, QueryableStoreTypes.<String, Long>keyValueStore());
        return streams.store(all.withPartition(partition));
    }

    private static String metadata() {
        var found = new java.util.TreeMap<Integer, HostInfo>();
        for (var client : streams.streamsMetadataForStore(STORE))
            for (var partition : client.topicPartitions()) found.put(partition.partition(), client.hostInfo());
        var rows = found.entrySet().stream().map(it -> "{\"partition\":" + it.getKey() + ",\"here\":" + it.getValue().equals(own)
            + ",\"active\":\"" + it.getValue().host() + ":" + it.getValue().port() + "\"}").toList();
        return "{\"stores\":[{\"partitions\":[" + String.join(",", rows) + "]}]}";
    }

    private static Handler jersey() {
        ServletContextHandler context = new ServletContextHandler();
        context.addServlet(new ServletHolder(new ServletContainer(new ResourceConfig().register(new Resource()))), "/*");
        return context;
    }

    /** The layer as JAX-RS. */
    @Path("/")
    public static class Resource {
        @GET
        @Path("stores/counts/{key}")
        @Produces(MediaType.APPLICATION_JSON)
        public String one(@PathParam("key") String key) throws Exception {
            String count = count(key);
            if (count == null) throw new NotFoundException();
            return count;
        }

        @GET
        @Path("metadata")
        @Produces(MediaType.APPLICATION_JSON)
        public String all() {
            return metadata();
        }
    }

    /** The layer as a handler. */
    private static class Bare extends Handler.Abstract {
        private static final String PREFIX = "/stores/" + STORE + "/";

        @Override
        public boolean handle(Request request, Response response, Callback callback) throws Exception {
            String path = Request.getPathInContext(request);
            String body = path.startsWith(PREFIX) ? count(path.substring(PREFIX.length())) : path.equals("/metadata") ? metadata() : null;
            if (body == null) {
                Response.writeError(request, response, callback, 404);
                return true;
            }
            byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
            response.setStatus(200);
            response.getHeaders().put(HttpHeader.CONTENT_TYPE, "application/json");
            response.getHeaders().put(HttpHeader.CONTENT_LENGTH, bytes.length);
            response.write(true, ByteBuffer.wrap(bytes), callback);
            return true;
        }
    }
}
