import java.util.function.LongBinaryOperator;
import java.util.function.ToLongFunction;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;

/** Queries 15 and 16 of Nexmark: bids of a day, and how many distinct bidders and auctions they are of. */
final class NexmarkReport {
    private static final long RANK2 = 10_000;
    private static final long RANK3 = 1_000_000;
    private static final long MINUTE_MS = 60_000;
    private static final long DAY_MS = NexmarkWindow.DAY.toMillis();

    private NexmarkReport() {}

    /** What a bid counts for, and in which minute of the day. */
    private interface Place {
        NexmarkRows.Scope scope(NexmarkRows.Bid bid);

        long minute(NexmarkRows.Bid bid);
    }

    static KTable<NexmarkRows.Scope, NexmarkRows.Report> ofDays(KStream<Long, NexmarkRows.Bid> bids) {
        return report(bids, new Place() {
            @Override
            public NexmarkRows.Scope scope(NexmarkRows.Bid bid) {
                return new NexmarkRows.Scope("", dayMs(bid));
            }

            @Override
            public long minute(NexmarkRows.Bid bid) {
                return 0;
            }
        });
    }

    static KTable<NexmarkRows.Scope, NexmarkRows.Report> ofChannels(KStream<Long, NexmarkRows.Bid> bids) {
        return report(bids, new Place() {
            @Override
            public NexmarkRows.Scope scope(NexmarkRows.Bid bid) {
                return new NexmarkRows.Scope(bid.channel(), dayMs(bid));
            }

            @Override
            public long minute(NexmarkRows.Bid bid) {
                return (bid.timeMs() - dayMs(bid)) / MINUTE_MS;
            }
        });
    }

    private static long dayMs(NexmarkRows.Bid bid) {
        return bid.timeMs() - Math.floorMod(bid.timeMs(), DAY_MS);
    }

    private static KTable<NexmarkRows.Scope, NexmarkRows.Report> report(KStream<Long, NexmarkRows.Bid> bids, Place place) {
        var bidders = crowd(bids, place, NexmarkRows.Bid::bidder, "by-bidder", "bidders");
        var auctions = crowd(bids, place, NexmarkRows.Bid::auction, "by-auction", "auctions");
        return bidders.join(auctions, (bidder, auction) -> new NexmarkRows.Report(bidder.minute(), bidder.bids(), bidder.members(), auction.members()));
    }

    /** Those of a scope whose bids there are: first each with their bids, then all. */
    private static KTable<NexmarkRows.Scope, NexmarkRows.Crowd> crowd(KStream<Long, NexmarkRows.Bid> bids, Place place,
            ToLongFunction<NexmarkRows.Bid> id, String parts, String crowds) {
        var none = new NexmarkRows.Crowd(0, NexmarkRows.Counts.NONE, NexmarkRows.Counts.NONE);
        return bids.groupBy((auction, bid) -> {
                var scope = place.scope(bid);
                return new NexmarkRows.Member(scope.channel(), scope.dayMs(), id.applyAsLong(bid));
            }, Grouped.with(NexmarkRows.MEMBER, NexmarkRows.BID))
            .aggregate(() -> new NexmarkRows.Part(0, NexmarkRows.Counts.NONE),
                (member, bid, part) -> new NexmarkRows.Part(Math.max(part.minute(), place.minute(bid)), count(part.bids(), bid.price())),
                NexmarkQueries.store(parts, NexmarkRows.MEMBER, NexmarkRows.PART))
            .groupBy((member, part) -> KeyValue.pair(new NexmarkRows.Scope(member.channel(), member.dayMs()), part),
                Grouped.with(NexmarkRows.SCOPE, NexmarkRows.PART))
            .aggregate(() -> none, (scope, part, crowd) -> changed(crowd, part, Long::sum),
                (scope, part, crowd) -> changed(crowd, part, (all, one) -> all - one),
                NexmarkQueries.store(crowds, NexmarkRows.SCOPE, NexmarkRows.CROWD));
    }

    private static NexmarkRows.Crowd changed(NexmarkRows.Crowd crowd, NexmarkRows.Part part, LongBinaryOperator by) {
        var bids = part.bids();
        var members = new NexmarkRows.Counts(Math.min(bids.total(), 1), Math.min(bids.rank1(), 1), Math.min(bids.rank2(), 1), Math.min(bids.rank3(), 1));
        return new NexmarkRows.Crowd(Math.max(crowd.minute(), part.minute()), changed(crowd.bids(), bids, by), changed(crowd.members(), members, by));
    }

    private static NexmarkRows.Counts changed(NexmarkRows.Counts all, NexmarkRows.Counts one, LongBinaryOperator by) {
        return new NexmarkRows.Counts(by.applyAsLong(all.total(), one.total()), by.applyAsLong(all.rank1(), one.rank1()),
            by.applyAsLong(all.rank2(), one.rank2()), by.applyAsLong(all.rank3(), one.rank3()));
    }

    /** Counts a bid by its price. */
    static NexmarkRows.Counts count(NexmarkRows.Counts counts, long price) {
        long second = price >= RANK2 && price < RANK3 ? 1 : 0;
        return new NexmarkRows.Counts(counts.total() + 1, counts.rank1() + (price < RANK2 ? 1 : 0), counts.rank2() + second,
            counts.rank3() + (price >= RANK3 ? 1 : 0));
    }
}
