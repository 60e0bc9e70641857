import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.function.Function;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/**
 * Persons, auctions, bids, and rows that are made of them, with the bytes of {@code bench/src/nexmark/event.rs}: big-endian numbers,
 * strings and lists behind their length in eight bytes.
 */
final class NexmarkRows {
    private NexmarkRows() {}

    record Person(long id, long timeMs, String name, String city, String state, String extra) {}

    record Auction(long id, long timeMs, long expiresMs, long seller, long category, String extra) {}

    record Bid(long auction, long timeMs, long bidder, long price, String extra) {}

    record Seller(String name, String city, String state) {}

    record Offer(long category, long price, long isInTime) {}

    record Total(long sum, long count) {}

    /** The auctions with the most bids of a window, by id. */
    record Hottest(long bids, long[] auctions) {}

    record Counted(long auction, long bids) {}

    record NewSeller(String name, long windowMs, long auction, long isInWindow) {}

    static final Serde<Person> PERSON = serde(
        it -> {
            byte[] name = utf8(it.name), city = utf8(it.city), state = utf8(it.state), extra = utf8(it.extra);
            ByteBuffer bytes = room(6, name.length + city.length + state.length + extra.length).putLong(it.id).putLong(it.timeMs);
            return put(put(put(put(bytes, name), city), state), extra);
        },
        bytes -> new Person(bytes.getLong(), bytes.getLong(), text(bytes), text(bytes), text(bytes), text(bytes)));

    static final Serde<Auction> AUCTION = serde(
        it -> {
            byte[] extra = utf8(it.extra);
            return put(room(6, extra.length).putLong(it.id).putLong(it.timeMs).putLong(it.expiresMs).putLong(it.seller).putLong(it.category), extra);
        },
        bytes -> new Auction(bytes.getLong(), bytes.getLong(), bytes.getLong(), bytes.getLong(), bytes.getLong(), text(bytes)));

    static final Serde<Bid> BID = serde(
        it -> {
            byte[] extra = utf8(it.extra);
            return put(room(5, extra.length).putLong(it.auction).putLong(it.timeMs).putLong(it.bidder).putLong(it.price), extra);
        },
        bytes -> new Bid(bytes.getLong(), bytes.getLong(), bytes.getLong(), bytes.getLong(), text(bytes)));

    static final Serde<Seller> SELLER = serde(
        it -> {
            byte[] name = utf8(it.name), city = utf8(it.city), state = utf8(it.state);
            return put(put(put(room(3, name.length + city.length + state.length), name), city), state);
        },
        bytes -> new Seller(text(bytes), text(bytes), text(bytes)));

    static final Serde<Offer> OFFER = serde(
        it -> room(3, 0).putLong(it.category).putLong(it.price).putLong(it.isInTime),
        bytes -> new Offer(bytes.getLong(), bytes.getLong(), bytes.getLong()));

    static final Serde<Total> TOTAL = serde(
        it -> room(2, 0).putLong(it.sum).putLong(it.count),
        bytes -> new Total(bytes.getLong(), bytes.getLong()));

    static final Serde<Hottest> HOTTEST = serde(
        it -> {
            ByteBuffer bytes = room(2 + it.auctions.length, 0).putLong(it.bids).putLong(it.auctions.length);
            for (long auction : it.auctions) bytes.putLong(auction);
            return bytes;
        },
        bytes -> {
            long bids = bytes.getLong();
            long[] auctions = new long[length(bytes)];
            for (int place = 0; place < auctions.length; place++) auctions[place] = bytes.getLong();
            return new Hottest(bids, auctions);
        });

    static final Serde<Counted> COUNTED = serde(
        it -> room(2, 0).putLong(it.auction).putLong(it.bids),
        bytes -> new Counted(bytes.getLong(), bytes.getLong()));

    static final Serde<NewSeller> NEW_SELLER = serde(
        it -> {
            byte[] name = utf8(it.name);
            return put(room(4, name.length), name).putLong(it.windowMs).putLong(it.auction).putLong(it.isInWindow);
        },
        bytes -> new NewSeller(text(bytes), bytes.getLong(), bytes.getLong(), bytes.getLong()));

    /** Of a row's bytes, which fill their buffer, and back. */
    private static <T> Serde<T> serde(Function<T, ByteBuffer> write, Function<ByteBuffer, T> read) {
        return Serdes.serdeFrom(
            (topic, row) -> row == null ? null : write.apply(row).array(),
            (topic, bytes) -> bytes == null ? null : read.apply(ByteBuffer.wrap(bytes)));
    }

    private static ByteBuffer room(int numbers, int bytes) {
        return ByteBuffer.allocate(numbers * Long.BYTES + bytes);
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static ByteBuffer put(ByteBuffer bytes, byte[] text) {
        return bytes.putLong(text.length).put(text);
    }

    private static int length(ByteBuffer bytes) {
        return Math.toIntExact(bytes.getLong());
    }

    private static String text(ByteBuffer bytes) {
        int length = length(bytes), at = bytes.position();
        bytes.position(at + length);
        return new String(bytes.array(), at, length, StandardCharsets.UTF_8);
    }
}
