import java.time.Duration;
import java.util.Arrays;
import java.util.Set;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.KeyValueStore;

/** The queries of Nexmark as {@code bench/src/nexmark/query.rs} has them: the same operators, constants and names of stores. */
final class NexmarkQueries {
    private static final Duration WINDOW = Duration.ofSeconds(10);
    private static final Duration ADVANCE = Duration.ofSeconds(5);
    private static final Duration GRACE = Duration.ofDays(1);
    private static final long EUROS = 89;
    private static final long AUCTION_STRIDE = 123;
    private static final long LOCAL_CATEGORY = 10;
    private static final Set<String> LOCAL_STATES = Set.of("OR", "ID", "CA");
    private static final Serde<Long> LONG = Serdes.Long();

    private final StreamsBuilder builder;
    private final String output;
    /** Called for each record of an event. */
    private final Runnable see;

    private NexmarkQueries(StreamsBuilder builder, String output, Runnable see) {
        this.builder = builder;
        this.output = output;
        this.see = see;
    }

    /** Adds query {@code name} to the builder. */
    static void add(StreamsBuilder builder, String name, String output, Runnable see) {
        NexmarkQueries queries = new NexmarkQueries(builder, output, see);
        switch (name) {
            case "q0" -> queries.bids().to(output, Produced.with(LONG, NexmarkRows.BID));
            case "q1" -> queries.currency();
            case "q2" -> queries.selection();
            case "q3" -> queries.localItems();
            case "q4" -> queries.averagePrices();
            case "q5" -> queries.hotItems();
            case "q7" -> queries.highestBids();
            case "q8" -> queries.newSellers();
            default -> throw new IllegalArgumentException("no query " + name);
        }
    }

    private <V> KStream<Long, V> stream(String topic, Serde<V> value) {
        return builder.stream(topic, Consumed.with(LONG, value)).peek((key, row) -> see.run());
    }

    private KStream<Long, NexmarkRows.Bid> bids() {
        return stream("bids", NexmarkRows.BID);
    }

    private <V> KTable<Long, V> table(String topic, Serde<V> value) {
        return stream(topic, value).toTable(store(topic, value));
    }

    /** A key-value store on disk. */
    private static <V> Materialized<Long, V, KeyValueStore<Bytes, byte[]>> store(String name, Serde<V> value) {
        return Materialized.<Long, V, KeyValueStore<Bytes, byte[]>>as(name).withKeySerde(LONG).withValueSerde(value);
    }

    private void currency() {
        bids().mapValues(bid -> new NexmarkRows.Bid(bid.auction(), bid.timeMs(), bid.bidder(), bid.price() * EUROS / 100, bid.extra()))
            .to(output, Produced.with(LONG, NexmarkRows.BID));
    }

    private void selection() {
        bids().filter((auction, bid) -> auction % AUCTION_STRIDE == 0).mapValues(NexmarkRows.Bid::price).to(output, Produced.with(LONG, LONG));
    }

    private void localItems() {
        var auctions = table("auctions", NexmarkRows.AUCTION).filter((id, auction) -> auction.category() == LOCAL_CATEGORY);
        var persons = table("persons", NexmarkRows.PERSON).filter((id, person) -> LOCAL_STATES.contains(person.state()));
        auctions.join(persons, NexmarkRows.Auction::seller,
                (auction, person) -> new NexmarkRows.Seller(person.name(), person.city(), person.state()), store("sellers", NexmarkRows.SELLER))
            .toStream().to(output, Produced.with(LONG, NexmarkRows.SELLER));
    }

    private void averagePrices() {
        var auctions = table("auctions", NexmarkRows.AUCTION);
        var offers = bids().join(auctions,
            (bid, auction) -> new NexmarkRows.Offer(auction.category(), bid.price(), bid.timeMs() <= auction.expiresMs() ? 1 : 0),
            Joined.with(LONG, NexmarkRows.BID, NexmarkRows.AUCTION));
        offers.filter((auction, offer) -> offer.isInTime() == 1)
            .groupByKey(Grouped.with(LONG, NexmarkRows.OFFER))
            .reduce((best, offer) -> offer.price() > best.price() ? offer : best, store("winning", NexmarkRows.OFFER))
            .groupBy((auction, offer) -> KeyValue.pair(offer.category(), offer.price()), Grouped.with(LONG, LONG))
            .aggregate(() -> new NexmarkRows.Total(0, 0),
                (category, price, total) -> new NexmarkRows.Total(total.sum() + price, total.count() + 1),
                (category, price, total) -> new NexmarkRows.Total(total.sum() - price, total.count() - 1),
                store("totals", NexmarkRows.TOTAL))
            .mapValues(total -> total.count() == 0 ? 0L : total.sum() / total.count())
            .toStream().to(output, Produced.with(LONG, LONG));
    }

    private void hotItems() {
        bids().groupByKey(Grouped.with(LONG, NexmarkRows.BID))
            .windowedBy(TimeWindows.ofSizeAndGrace(WINDOW, GRACE).advanceBy(ADVANCE))
            .count(Materialized.as("bids-by-auction"))
            .toStream()
            .map((window, bids) -> KeyValue.pair(window.window().start(), new NexmarkRows.Counted(window.key(), bids)))
            .groupByKey(Grouped.with(LONG, NexmarkRows.COUNTED))
            .aggregate(() -> new NexmarkRows.Hottest(0, new long[0]), (start, counted, hottest) -> hotter(hottest, counted),
                store("hottest", NexmarkRows.HOTTEST))
            .toStream().to(output, Produced.with(LONG, NexmarkRows.HOTTEST));
    }

    private static NexmarkRows.Hottest hotter(NexmarkRows.Hottest hottest, NexmarkRows.Counted counted) {
        if (counted.bids() > hottest.bids()) return new NexmarkRows.Hottest(counted.bids(), new long[] {counted.auction()});
        int place = Arrays.binarySearch(hottest.auctions(), counted.auction());
        if (counted.bids() < hottest.bids() || place >= 0) return hottest;
        long[] auctions = Arrays.copyOf(hottest.auctions(), hottest.auctions().length + 1);
        int at = -place - 1;
        System.arraycopy(auctions, at, auctions, at + 1, auctions.length - 1 - at);
        auctions[at] = counted.auction();
        return new NexmarkRows.Hottest(hottest.bids(), auctions);
    }

    private void highestBids() {
        bids().groupByKey(Grouped.with(LONG, NexmarkRows.BID))
            .windowedBy(TimeWindows.ofSizeAndGrace(WINDOW, GRACE))
            .reduce(NexmarkQueries::higher, Materialized.as("highest-by-auction"))
            .toStream()
            .map((window, bid) -> KeyValue.pair(window.window().start(), bid))
            .groupByKey(Grouped.with(LONG, NexmarkRows.BID))
            .reduce(NexmarkQueries::higher, store("highest", NexmarkRows.BID))
            .toStream().to(output, Produced.with(LONG, NexmarkRows.BID));
    }

    /** The higher bid; of two alike the earlier. */
    private static NexmarkRows.Bid higher(NexmarkRows.Bid one, NexmarkRows.Bid other) {
        boolean isEarlier = other.price() == one.price() && one.timeMs() > other.timeMs();
        return other.price() > one.price() || isEarlier ? other : one;
    }

    private void newSellers() {
        long windowMs = WINDOW.toMillis();
        var persons = stream("persons", NexmarkRows.PERSON);
        var auctions = stream("auctions", NexmarkRows.AUCTION).selectKey((id, auction) -> auction.seller());
        persons.join(auctions, (person, auction) -> {
                long window = Math.floorDiv(person.timeMs(), windowMs);
                boolean isInWindow = Math.floorDiv(auction.timeMs(), windowMs) == window;
                return new NexmarkRows.NewSeller(person.name(), window * windowMs, auction.id(), isInWindow ? 1 : 0);
            }, JoinWindows.ofTimeDifferenceAndGrace(WINDOW, GRACE), StreamJoined.with(LONG, NexmarkRows.PERSON, NexmarkRows.AUCTION))
            .filter((seller, row) -> row.isInWindow() == 1)
            .to(output, Produced.with(LONG, NexmarkRows.NEW_SELLER));
    }
}
