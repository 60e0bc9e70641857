import java.time.Duration;
import java.util.Arrays;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.state.WindowStore;

/** Queries 5, 7, 11 and 17 of Nexmark: bids by time. */
final class NexmarkWindow {
    static final Duration WINDOW = Duration.ofSeconds(10);
    static final Duration DAY = Duration.ofDays(1);
    static final Duration GRACE = Duration.ofDays(1);
    private static final Duration ADVANCE = Duration.ofSeconds(5);
    private static final Duration SESSION_GAP = Duration.ofSeconds(10);

    private NexmarkWindow() {}

    static KTable<Long, NexmarkRows.Hottest> hotItems(KStream<Long, NexmarkRows.Bid> bids) {
        return bids.groupByKey(Grouped.with(NexmarkQueries.LONG, NexmarkRows.BID))
            .windowedBy(TimeWindows.ofSizeAndGrace(WINDOW, GRACE).advanceBy(ADVANCE))
            .count(Materialized.as("bids-by-auction"))
            .toStream()
            .map((window, count) -> KeyValue.pair(window.window().start(), new NexmarkRows.Counted(window.key(), count)))
            .groupByKey(Grouped.with(NexmarkQueries.LONG, NexmarkRows.COUNTED))
            .aggregate(() -> new NexmarkRows.Hottest(0, new long[0]), (start, counted, hottest) -> hotter(hottest, counted),
                NexmarkQueries.store("hottest", NexmarkQueries.LONG, NexmarkRows.HOTTEST));
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

    static KTable<Long, NexmarkRows.Bid> highestBids(KStream<Long, NexmarkRows.Bid> bids) {
        return bids.groupByKey(Grouped.with(NexmarkQueries.LONG, NexmarkRows.BID))
            .windowedBy(TimeWindows.ofSizeAndGrace(WINDOW, GRACE))
            .reduce(NexmarkWindow::higher, Materialized.as("highest-by-auction"))
            .toStream()
            .map((window, bid) -> KeyValue.pair(window.window().start(), bid))
            .groupByKey(Grouped.with(NexmarkQueries.LONG, NexmarkRows.BID))
            .reduce(NexmarkWindow::higher, NexmarkQueries.store("highest", NexmarkQueries.LONG, NexmarkRows.BID));
    }

    /** The higher bid; of two alike the earlier. */
    private static NexmarkRows.Bid higher(NexmarkRows.Bid one, NexmarkRows.Bid other) {
        boolean isEarlier = other.price() == one.price() && one.timeMs() > other.timeMs();
        return other.price() > one.price() || isEarlier ? other : one;
    }

    static KTable<Windowed<Long>, Long> sessions(KStream<Long, NexmarkRows.Bid> bids) {
        return bids.groupBy((auction, bid) -> bid.bidder(), Grouped.with(NexmarkQueries.LONG, NexmarkRows.BID))
            .windowedBy(SessionWindows.ofInactivityGapAndGrace(SESSION_GAP, GRACE))
            .count(Materialized.as("sessions"));
    }

    static KStream<NexmarkRows.AuctionDay, NexmarkRows.Prices> prices(KStream<Long, NexmarkRows.Bid> bids) {
        return bids.groupByKey(Grouped.with(NexmarkQueries.LONG, NexmarkRows.BID))
            .windowedBy(TimeWindows.ofSizeAndGrace(DAY, GRACE))
            .aggregate(() -> new NexmarkRows.Prices(NexmarkRows.Counts.NONE, 0, 0, 0, 0), (auction, bid, prices) -> priced(prices, bid.price()),
                Materialized.<Long, NexmarkRows.Prices, WindowStore<Bytes, byte[]>>as("prices").withValueSerde(NexmarkRows.PRICES))
            .toStream()
            .map((window, prices) -> KeyValue.pair(new NexmarkRows.AuctionDay(window.key(), window.window().start()), prices));
    }

    private static NexmarkRows.Prices priced(NexmarkRows.Prices prices, long price) {
        long lowest = prices.bids().total() == 0 ? price : Math.min(prices.lowest(), price);
        var counts = NexmarkReport.count(prices.bids(), price);
        long sum = prices.sum() + price;
        return new NexmarkRows.Prices(counts, lowest, Math.max(prices.highest(), price), sum / counts.total(), sum);
    }
}
