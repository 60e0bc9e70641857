import java.util.List;
import java.util.Locale;
import org.apache.kafka.streams.kstream.KStream;

/** Queries 1, 2, 14, 21 and 22 of Nexmark: bids one by one. */
final class NexmarkCalculation {
    private static final long EUROS = 89;
    private static final long AUCTION_STRIDE = 123;
    private static final long MILLE = 908;
    private static final long CALCULATED_MIN = 1_000_000_000L;
    private static final long CALCULATED_MAX = 50_000_000_000L;
    private static final List<String> KNOWN_CHANNELS = List.of("apple", "google", "facebook", "baidu");
    private static final String CHANNEL_ID = "channel_id=";
    private static final long HOUR_MS = 3_600_000;
    private static final char COUNTED = 'c';

    private NexmarkCalculation() {}

    static KStream<Long, NexmarkRows.Bid> currency(KStream<Long, NexmarkRows.Bid> bids) {
        return bids.mapValues(bid -> new NexmarkRows.Bid(bid.auction(), bid.timeMs(), bid.bidder(), bid.price() * EUROS / 100,
            bid.channel(), bid.url(), bid.extra()));
    }

    static KStream<Long, Long> selection(KStream<Long, NexmarkRows.Bid> bids) {
        return bids.filter((auction, bid) -> auction % AUCTION_STRIDE == 0).mapValues(NexmarkRows.Bid::price);
    }

    static KStream<Long, NexmarkRows.Calculated> reckoned(KStream<Long, NexmarkRows.Bid> bids) {
        return bids.filter((auction, bid) -> {
                long price = bid.price() * MILLE;
                return price > CALCULATED_MIN && price < CALCULATED_MAX;
            })
            .mapValues(bid -> new NexmarkRows.Calculated(bid.auction(), bid.bidder(), bid.price() * MILLE, timeType(bid.timeMs()), bid.timeMs(),
                bid.extra(), bid.extra().chars().filter(letter -> letter == COUNTED).count()));
    }

    private static String timeType(long timeMs) {
        long hour = Math.floorMod(Math.floorDiv(timeMs, HOUR_MS), 24);
        if (hour >= 8 && hour <= 18) return "dayTime";
        return hour <= 6 || hour >= 20 ? "nightTime" : "otherTime";
    }

    static KStream<Long, NexmarkRows.Channelled> channelIds(KStream<Long, NexmarkRows.Bid> bids) {
        return bids.filter((auction, bid) -> channelId(bid) != null)
            .mapValues(bid -> new NexmarkRows.Channelled(bid.auction(), bid.bidder(), bid.price(), bid.channel(), channelId(bid)));
    }

    /** That of a known channel, or the first in the url; null if there is none. */
    private static String channelId(NexmarkRows.Bid bid) {
        int place = KNOWN_CHANNELS.indexOf(bid.channel().toLowerCase(Locale.ROOT));
        if (place >= 0) return Integer.toString(place);
        for (String part : bid.url().split("&")) if (part.startsWith(CHANNEL_ID)) return part.substring(CHANNEL_ID.length());
        return null;
    }

    static KStream<Long, NexmarkRows.Located> directories(KStream<Long, NexmarkRows.Bid> bids) {
        return bids.mapValues(bid -> {
            String[] parts = bid.url().split("/");
            return new NexmarkRows.Located(bid.auction(), bid.bidder(), bid.price(), bid.channel(), part(parts, 3), part(parts, 4), part(parts, 5));
        });
    }

    private static String part(String[] parts, int place) {
        return place < parts.length ? parts[place] : "";
    }
}
