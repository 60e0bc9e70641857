import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;

/** Queries 18 and 19 of Nexmark: the last and the highest bids. */
final class NexmarkRanking {
    private static final int HIGHEST_BIDS = 10;

    private NexmarkRanking() {}

    static KTable<NexmarkRows.Bidding, NexmarkRows.Bid> lastBids(KStream<Long, NexmarkRows.Bid> bids) {
        return bids.groupBy((auction, bid) -> new NexmarkRows.Bidding(bid.bidder(), auction), Grouped.with(NexmarkRows.BIDDING, NexmarkRows.BID))
            .reduce((last, bid) -> bid.timeMs() >= last.timeMs() ? bid : last, NexmarkQueries.store("last", NexmarkRows.BIDDING, NexmarkRows.BID));
    }

    static KTable<Long, NexmarkRows.Highest> highestBids(KStream<Long, NexmarkRows.Bid> bids) {
        return bids.groupByKey(Grouped.with(NexmarkQueries.LONG, NexmarkRows.BID))
            .aggregate(() -> new NexmarkRows.Highest(List.of()), (auction, bid, highest) -> ranked(highest, bid),
                NexmarkQueries.store("highest", NexmarkQueries.LONG, NexmarkRows.HIGHEST));
    }

    /** Of two alike the earlier is before the other. */
    private static NexmarkRows.Highest ranked(NexmarkRows.Highest highest, NexmarkRows.Bid bid) {
        int place = 0;
        while (place < highest.bids().size() && !isBefore(bid, highest.bids().get(place))) place++;
        if (place >= HIGHEST_BIDS) return highest;
        List<NexmarkRows.Bid> bids = new ArrayList<>(highest.bids());
        bids.add(place, bid);
        if (bids.size() > HIGHEST_BIDS) bids.remove(HIGHEST_BIDS);
        return new NexmarkRows.Highest(bids);
    }

    private static boolean isBefore(NexmarkRows.Bid bid, NexmarkRows.Bid other) {
        return bid.price() > other.price() || bid.price() == other.price() && bid.timeMs() < other.timeMs();
    }
}
