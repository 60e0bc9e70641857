import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.WindowedSerdes;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * The queries of Nexmark as {@code bench/src/nexmark/query.rs} has them: the same operators, constants and names of stores, a class
 * here for each file there.
 */
final class NexmarkQueries {
    static final Serde<Long> LONG = Serdes.Long();

    private final StreamsBuilder builder;
    /** Called for each record of an event. */
    private final Runnable see;

    private NexmarkQueries(StreamsBuilder builder, Runnable see) {
        this.builder = builder;
        this.see = see;
    }

    /** Adds query {@code name} to the builder. */
    static void add(StreamsBuilder builder, String name, String output, Runnable see) {
        NexmarkQueries of = new NexmarkQueries(builder, see);
        switch (name) {
            case "q0" -> of.bids().to(output, Produced.with(LONG, NexmarkRows.BID));
            case "q1" -> NexmarkCalculation.currency(of.bids()).to(output, Produced.with(LONG, NexmarkRows.BID));
            case "q2" -> NexmarkCalculation.selection(of.bids()).to(output, Produced.with(LONG, LONG));
            case "q3" -> NexmarkJoin.localItems(of.auctions(), of.table("persons", NexmarkRows.PERSON)).toStream()
                .to(output, Produced.with(LONG, NexmarkRows.SELLER));
            case "q4" -> NexmarkJoin.averagePrices(of.auctions(), of.bids()).toStream().to(output, Produced.with(LONG, LONG));
            case "q5" -> NexmarkWindow.hotItems(of.bids()).toStream().to(output, Produced.with(LONG, NexmarkRows.HOTTEST));
            case "q6" -> NexmarkJoin.sellerAverages(of.auctions(), of.bids()).toStream().to(output, Produced.with(LONG, LONG));
            case "q7" -> NexmarkWindow.highestBids(of.bids()).toStream().to(output, Produced.with(LONG, NexmarkRows.BID));
            case "q8" -> NexmarkJoin.newSellers(of.stream("persons", NexmarkRows.PERSON), of.stream("auctions", NexmarkRows.AUCTION))
                .to(output, Produced.with(LONG, NexmarkRows.NEW_SELLER));
            case "q9" -> NexmarkJoin.winningBids(of.auctions(), of.bids()).toStream().to(output, Produced.with(LONG, NexmarkRows.SALE));
            case "q11" -> NexmarkWindow.sessions(of.bids()).toStream()
                .to(output, Produced.with(new WindowedSerdes.SessionWindowedSerde<>(LONG), LONG));
            case "q13" -> NexmarkJoin.labelled(of.bids(), of.builder.globalTable("labels", Consumed.with(LONG, Serdes.String())))
                .to(output, Produced.with(LONG, NexmarkRows.LABELLED));
            case "q14" -> NexmarkCalculation.reckoned(of.bids()).to(output, Produced.with(LONG, NexmarkRows.CALCULATED));
            case "q15" -> NexmarkReport.ofDays(of.bids()).toStream().to(output, Produced.with(NexmarkRows.SCOPE, NexmarkRows.REPORT));
            case "q16" -> NexmarkReport.ofChannels(of.bids()).toStream().to(output, Produced.with(NexmarkRows.SCOPE, NexmarkRows.REPORT));
            case "q17" -> NexmarkWindow.prices(of.bids()).to(output, Produced.with(NexmarkRows.AUCTION_DAY, NexmarkRows.PRICES));
            case "q18" -> NexmarkRanking.lastBids(of.bids()).toStream().to(output, Produced.with(NexmarkRows.BIDDING, NexmarkRows.BID));
            case "q19" -> NexmarkRanking.highestBids(of.bids()).toStream().to(output, Produced.with(LONG, NexmarkRows.HIGHEST));
            case "q20" -> NexmarkJoin.expandedBids(of.auctions(), of.bids()).to(output, Produced.with(LONG, NexmarkRows.SALE));
            case "q21" -> NexmarkCalculation.channelIds(of.bids()).to(output, Produced.with(LONG, NexmarkRows.CHANNELLED));
            case "q22" -> NexmarkCalculation.directories(of.bids()).to(output, Produced.with(LONG, NexmarkRows.LOCATED));
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
        return stream(topic, value).toTable(store(topic, LONG, value));
    }

    private KTable<Long, NexmarkRows.Auction> auctions() {
        return table("auctions", NexmarkRows.AUCTION);
    }

    /** A key-value store on disk. */
    static <K, V> Materialized<K, V, KeyValueStore<Bytes, byte[]>> store(String name, Serde<K> key, Serde<V> value) {
        return Materialized.<K, V, KeyValueStore<Bytes, byte[]>>as(name).withKeySerde(key).withValueSerde(value);
    }
}
