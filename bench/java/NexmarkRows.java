import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
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

    record Bid(long auction, long timeMs, long bidder, long price, String channel, String url, String extra) {}

    record Seller(String name, String city, String state) {}

    record Offer(long category, long price, long isInTime) {}

    record Total(long sum, long count) {}

    /** The auctions with the most bids of a window, by id. */
    record Hottest(long bids, long[] auctions) {}

    record Counted(long auction, long bids) {}

    record NewSeller(String name, long windowMs, long auction, long isInWindow) {}

    record Won(long seller, long auction, long timeMs, long price, long isInTime) {}

    record Sold(long timeMs, long auction, long price) {}

    /** What a seller sold, in order. */
    record Sales(List<Sold> sold) {}

    record Sale(Auction auction, Bid bid) {}

    record Labelled(long auction, long bidder, long price, long timeMs, String label) {}

    record Calculated(long auction, long bidder, long priceThousandths, String timeType, long timeMs, String extra, long count) {}

    record Member(String channel, long dayMs, long id) {}

    record Scope(String channel, long dayMs) {}

    record Counts(long total, long rank1, long rank2, long rank3) {
        static final Counts NONE = new Counts(0, 0, 0, 0);
    }

    record Part(long minute, Counts bids) {}

    record Crowd(long minute, Counts bids, Counts members) {}

    record Report(long minute, Counts bids, Counts bidders, Counts auctions) {}

    record AuctionDay(long auction, long dayMs) {}

    record Prices(Counts bids, long lowest, long highest, long average, long sum) {}

    record Bidding(long bidder, long auction) {}

    /** The highest bids for an auction, the highest first. */
    record Highest(List<Bid> bids) {}

    record Channelled(long auction, long bidder, long price, String channel, String channelId) {}

    record Located(long auction, long bidder, long price, String channel, String dir1, String dir2, String dir3) {}

    static final Serde<Person> PERSON = serde(
        it -> {
            byte[] name = utf8(it.name), city = utf8(it.city), state = utf8(it.state), extra = utf8(it.extra);
            ByteBuffer bytes = room(6, name.length + city.length + state.length + extra.length).putLong(it.id).putLong(it.timeMs);
            return put(put(put(put(bytes, name), city), state), extra);
        },
        bytes -> new Person(bytes.getLong(), bytes.getLong(), text(bytes), text(bytes), text(bytes), text(bytes)));

    static final Serde<Auction> AUCTION = serde(it -> ByteBuffer.wrap(bytes(it)), NexmarkRows::auction);

    static final Serde<Bid> BID = serde(it -> ByteBuffer.wrap(bytes(it)), NexmarkRows::bid);

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

    static final Serde<Won> WON = serde(
        it -> room(5, 0).putLong(it.seller).putLong(it.auction).putLong(it.timeMs).putLong(it.price).putLong(it.isInTime),
        bytes -> new Won(bytes.getLong(), bytes.getLong(), bytes.getLong(), bytes.getLong(), bytes.getLong()));

    static final Serde<Sold> SOLD = serde(it -> put(room(3, 0), it), NexmarkRows::sold);

    static final Serde<Sales> SALES = serde(
        it -> {
            ByteBuffer bytes = room(1 + 3 * it.sold.size(), 0).putLong(it.sold.size());
            it.sold.forEach(sold -> put(bytes, sold));
            return bytes;
        },
        bytes -> {
            int length = length(bytes);
            List<Sold> sold = new ArrayList<>(length + 1);
            for (int place = 0; place < length; place++) sold.add(sold(bytes));
            return new Sales(sold);
        });

    static final Serde<Sale> SALE = serde(
        it -> {
            byte[] auction = bytes(it.auction), bid = bytes(it.bid);
            return room(0, auction.length + bid.length).put(auction).put(bid);
        },
        bytes -> new Sale(auction(bytes), bid(bytes)));

    static final Serde<Labelled> LABELLED = serde(
        it -> {
            byte[] label = utf8(it.label);
            return put(room(5, label.length).putLong(it.auction).putLong(it.bidder).putLong(it.price).putLong(it.timeMs), label);
        },
        bytes -> new Labelled(bytes.getLong(), bytes.getLong(), bytes.getLong(), bytes.getLong(), text(bytes)));

    static final Serde<Calculated> CALCULATED = serde(
        it -> {
            byte[] timeType = utf8(it.timeType), extra = utf8(it.extra);
            ByteBuffer bytes = room(7, timeType.length + extra.length).putLong(it.auction).putLong(it.bidder).putLong(it.priceThousandths);
            return put(put(bytes, timeType).putLong(it.timeMs), extra).putLong(it.count);
        },
        bytes -> new Calculated(bytes.getLong(), bytes.getLong(), bytes.getLong(), text(bytes), bytes.getLong(), text(bytes), bytes.getLong()));

    static final Serde<Member> MEMBER = serde(
        it -> {
            byte[] channel = utf8(it.channel);
            return put(room(3, channel.length), channel).putLong(it.dayMs).putLong(it.id);
        },
        bytes -> new Member(text(bytes), bytes.getLong(), bytes.getLong()));

    static final Serde<Scope> SCOPE = serde(
        it -> {
            byte[] channel = utf8(it.channel);
            return put(room(2, channel.length), channel).putLong(it.dayMs);
        },
        bytes -> new Scope(text(bytes), bytes.getLong()));

    static final Serde<Part> PART = serde(
        it -> put(room(5, 0).putLong(it.minute), it.bids),
        bytes -> new Part(bytes.getLong(), counts(bytes)));

    static final Serde<Crowd> CROWD = serde(
        it -> put(put(room(9, 0).putLong(it.minute), it.bids), it.members),
        bytes -> new Crowd(bytes.getLong(), counts(bytes), counts(bytes)));

    static final Serde<Report> REPORT = serde(
        it -> put(put(put(room(13, 0).putLong(it.minute), it.bids), it.bidders), it.auctions),
        bytes -> new Report(bytes.getLong(), counts(bytes), counts(bytes), counts(bytes)));

    static final Serde<AuctionDay> AUCTION_DAY = serde(
        it -> room(2, 0).putLong(it.auction).putLong(it.dayMs),
        bytes -> new AuctionDay(bytes.getLong(), bytes.getLong()));

    static final Serde<Prices> PRICES = serde(
        it -> put(room(8, 0), it.bids).putLong(it.lowest).putLong(it.highest).putLong(it.average).putLong(it.sum),
        bytes -> new Prices(counts(bytes), bytes.getLong(), bytes.getLong(), bytes.getLong(), bytes.getLong()));

    static final Serde<Bidding> BIDDING = serde(
        it -> room(2, 0).putLong(it.bidder).putLong(it.auction),
        bytes -> new Bidding(bytes.getLong(), bytes.getLong()));

    static final Serde<Highest> HIGHEST = serde(
        it -> {
            List<byte[]> bids = it.bids.stream().map(NexmarkRows::bytes).toList();
            ByteBuffer bytes = room(1, bids.stream().mapToInt(bid -> bid.length).sum()).putLong(bids.size());
            bids.forEach(bytes::put);
            return bytes;
        },
        bytes -> {
            int length = length(bytes);
            List<Bid> bids = new ArrayList<>(length + 1);
            for (int place = 0; place < length; place++) bids.add(bid(bytes));
            return new Highest(bids);
        });

    static final Serde<Channelled> CHANNELLED = serde(
        it -> {
            byte[] channel = utf8(it.channel), id = utf8(it.channelId);
            ByteBuffer bytes = room(5, channel.length + id.length).putLong(it.auction).putLong(it.bidder).putLong(it.price);
            return put(put(bytes, channel), id);
        },
        bytes -> new Channelled(bytes.getLong(), bytes.getLong(), bytes.getLong(), text(bytes), text(bytes)));

    static final Serde<Located> LOCATED = serde(
        it -> {
            byte[] channel = utf8(it.channel), dir1 = utf8(it.dir1), dir2 = utf8(it.dir2), dir3 = utf8(it.dir3);
            ByteBuffer bytes = room(7, channel.length + dir1.length + dir2.length + dir3.length)
                .putLong(it.auction).putLong(it.bidder).putLong(it.price);
            return put(put(put(put(bytes, channel), dir1), dir2), dir3);
        },
        bytes -> new Located(bytes.getLong(), bytes.getLong(), bytes.getLong(), text(bytes), text(bytes), text(bytes), text(bytes)));

    private static byte[] bytes(Auction it) {
        byte[] extra = utf8(it.extra);
        return put(room(6, extra.length).putLong(it.id).putLong(it.timeMs).putLong(it.expiresMs).putLong(it.seller).putLong(it.category), extra).array();
    }

    private static Auction auction(ByteBuffer bytes) {
        return new Auction(bytes.getLong(), bytes.getLong(), bytes.getLong(), bytes.getLong(), bytes.getLong(), text(bytes));
    }

    private static byte[] bytes(Bid it) {
        byte[] channel = utf8(it.channel), url = utf8(it.url), extra = utf8(it.extra);
        ByteBuffer bytes = room(7, channel.length + url.length + extra.length)
            .putLong(it.auction).putLong(it.timeMs).putLong(it.bidder).putLong(it.price);
        return put(put(put(bytes, channel), url), extra).array();
    }

    private static Bid bid(ByteBuffer bytes) {
        return new Bid(bytes.getLong(), bytes.getLong(), bytes.getLong(), bytes.getLong(), text(bytes), text(bytes), text(bytes));
    }

    private static ByteBuffer put(ByteBuffer bytes, Sold it) {
        return bytes.putLong(it.timeMs).putLong(it.auction).putLong(it.price);
    }

    private static Sold sold(ByteBuffer bytes) {
        return new Sold(bytes.getLong(), bytes.getLong(), bytes.getLong());
    }

    private static ByteBuffer put(ByteBuffer bytes, Counts it) {
        return bytes.putLong(it.total).putLong(it.rank1).putLong(it.rank2).putLong(it.rank3);
    }

    private static Counts counts(ByteBuffer bytes) {
        return new Counts(bytes.getLong(), bytes.getLong(), bytes.getLong(), bytes.getLong());
    }

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
