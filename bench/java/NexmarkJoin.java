import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.Set;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.kstream.GlobalKTable;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.StreamJoined;

/** Queries 3, 4, 6, 8, 9, 13 and 20 of Nexmark: what stands in two topics. */
final class NexmarkJoin {
    private static final long LOCAL_CATEGORY = 10;
    private static final Set<String> LOCAL_STATES = Set.of("OR", "ID", "CA");
    private static final int LAST_SALES = 10;
    private static final long LABELS = 10_000;
    private static final Comparator<NexmarkRows.Sold> ORDER =
        Comparator.comparingLong(NexmarkRows.Sold::timeMs).thenComparingLong(NexmarkRows.Sold::auction).thenComparingLong(NexmarkRows.Sold::price);

    private NexmarkJoin() {}

    static KTable<Long, NexmarkRows.Seller> localItems(KTable<Long, NexmarkRows.Auction> allAuctions, KTable<Long, NexmarkRows.Person> allPersons) {
        var auctions = allAuctions.filter((id, auction) -> auction.category() == LOCAL_CATEGORY);
        var persons = allPersons.filter((id, person) -> LOCAL_STATES.contains(person.state()));
        return auctions.join(persons, NexmarkRows.Auction::seller,
            (auction, person) -> new NexmarkRows.Seller(person.name(), person.city(), person.state()),
            NexmarkQueries.store("sellers", NexmarkQueries.LONG, NexmarkRows.SELLER));
    }

    private static Joined<Long, NexmarkRows.Bid, NexmarkRows.Auction> joined() {
        return Joined.with(NexmarkQueries.LONG, NexmarkRows.BID, NexmarkRows.AUCTION);
    }

    static KTable<Long, Long> averagePrices(KTable<Long, NexmarkRows.Auction> auctions, KStream<Long, NexmarkRows.Bid> bids) {
        var offers = bids.join(auctions,
            (bid, auction) -> new NexmarkRows.Offer(auction.category(), bid.price(), bid.timeMs() <= auction.expiresMs() ? 1 : 0), joined());
        return offers.filter((auction, offer) -> offer.isInTime() == 1)
            .groupByKey(Grouped.with(NexmarkQueries.LONG, NexmarkRows.OFFER))
            .reduce((best, offer) -> offer.price() > best.price() ? offer : best,
                NexmarkQueries.store("winning", NexmarkQueries.LONG, NexmarkRows.OFFER))
            .groupBy((auction, offer) -> KeyValue.pair(offer.category(), offer.price()), Grouped.with(NexmarkQueries.LONG, NexmarkQueries.LONG))
            .aggregate(() -> new NexmarkRows.Total(0, 0),
                (category, price, total) -> new NexmarkRows.Total(total.sum() + price, total.count() + 1),
                (category, price, total) -> new NexmarkRows.Total(total.sum() - price, total.count() - 1),
                NexmarkQueries.store("totals", NexmarkQueries.LONG, NexmarkRows.TOTAL))
            .mapValues(total -> total.count() == 0 ? 0L : total.sum() / total.count());
    }

    static KTable<Long, Long> sellerAverages(KTable<Long, NexmarkRows.Auction> auctions, KStream<Long, NexmarkRows.Bid> bids) {
        var offers = bids.join(auctions, (bid, auction) -> new NexmarkRows.Won(auction.seller(), auction.id(), bid.timeMs(), bid.price(),
            bid.timeMs() <= auction.expiresMs() ? 1 : 0), joined());
        return offers.filter((auction, offer) -> offer.isInTime() == 1)
            .groupByKey(Grouped.with(NexmarkQueries.LONG, NexmarkRows.WON))
            .reduce((best, offer) -> isHigher(offer.price(), offer.timeMs(), best.price(), best.timeMs()) ? offer : best,
                NexmarkQueries.store("winning", NexmarkQueries.LONG, NexmarkRows.WON))
            .groupBy((auction, won) -> KeyValue.pair(won.seller(), new NexmarkRows.Sold(won.timeMs(), won.auction(), won.price())),
                Grouped.with(NexmarkQueries.LONG, NexmarkRows.SOLD))
            .aggregate(() -> new NexmarkRows.Sales(new ArrayList<>()), (seller, sold, sales) -> with(sales, sold),
                (seller, sold, sales) -> without(sales, sold), NexmarkQueries.store("sales", NexmarkQueries.LONG, NexmarkRows.SALES))
            .mapValues(NexmarkJoin::average);
    }

    private static NexmarkRows.Sales with(NexmarkRows.Sales sales, NexmarkRows.Sold sold) {
        int place = Collections.binarySearch(sales.sold(), sold, ORDER);
        if (place >= 0) return sales;
        var all = new ArrayList<>(sales.sold());
        all.add(-place - 1, sold);
        return new NexmarkRows.Sales(all);
    }

    private static NexmarkRows.Sales without(NexmarkRows.Sales sales, NexmarkRows.Sold sold) {
        int place = Collections.binarySearch(sales.sold(), sold, ORDER);
        if (place < 0) return sales;
        var all = new ArrayList<>(sales.sold());
        all.remove(place);
        return new NexmarkRows.Sales(all);
    }

    private static long average(NexmarkRows.Sales sales) {
        int length = sales.sold().size(), from = Math.max(0, length - LAST_SALES);
        if (length == 0) return 0;
        long sum = 0;
        for (var sold : sales.sold().subList(from, length)) sum += sold.price();
        return sum / (length - from);
    }

    /** Whether one bid is higher than another, or alike and earlier. */
    private static boolean isHigher(long price, long timeMs, long otherPrice, long otherTimeMs) {
        return price > otherPrice || price == otherPrice && timeMs < otherTimeMs;
    }

    static KStream<Long, NexmarkRows.NewSeller> newSellers(KStream<Long, NexmarkRows.Person> persons, KStream<Long, NexmarkRows.Auction> auctions) {
        long windowMs = NexmarkWindow.WINDOW.toMillis();
        var bySeller = auctions.selectKey((id, auction) -> auction.seller());
        return persons.join(bySeller, (person, auction) -> {
                long window = Math.floorDiv(person.timeMs(), windowMs);
                boolean isInWindow = Math.floorDiv(auction.timeMs(), windowMs) == window;
                return new NexmarkRows.NewSeller(person.name(), window * windowMs, auction.id(), isInWindow ? 1 : 0);
            }, JoinWindows.ofTimeDifferenceAndGrace(NexmarkWindow.WINDOW, NexmarkWindow.GRACE),
            StreamJoined.with(NexmarkQueries.LONG, NexmarkRows.PERSON, NexmarkRows.AUCTION))
            .filter((seller, row) -> row.isInWindow() == 1);
    }

    static KTable<Long, NexmarkRows.Sale> winningBids(KTable<Long, NexmarkRows.Auction> auctions, KStream<Long, NexmarkRows.Bid> bids) {
        return bids.join(auctions, (bid, auction) -> new NexmarkRows.Sale(auction, bid), joined())
            .filter((id, sale) -> sale.bid().timeMs() >= sale.auction().timeMs() && sale.bid().timeMs() <= sale.auction().expiresMs())
            .groupByKey(Grouped.with(NexmarkQueries.LONG, NexmarkRows.SALE))
            .reduce((best, sale) -> isHigher(sale.bid().price(), sale.bid().timeMs(), best.bid().price(), best.bid().timeMs()) ? sale : best,
                NexmarkQueries.store("winning", NexmarkQueries.LONG, NexmarkRows.SALE));
    }

    static KStream<Long, NexmarkRows.Labelled> labelled(KStream<Long, NexmarkRows.Bid> bids, GlobalKTable<Long, String> labels) {
        return bids.join(labels, (auction, bid) -> bid.auction() % LABELS,
            (bid, label) -> new NexmarkRows.Labelled(bid.auction(), bid.bidder(), bid.price(), bid.timeMs(), label));
    }

    static KStream<Long, NexmarkRows.Sale> expandedBids(KTable<Long, NexmarkRows.Auction> auctions, KStream<Long, NexmarkRows.Bid> bids) {
        return bids.join(auctions.filter((id, auction) -> auction.category() == LOCAL_CATEGORY),
            (bid, auction) -> new NexmarkRows.Sale(auction, bid), joined());
    }
}
