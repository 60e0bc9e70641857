package headwater;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * A Kafka Streams application that shares its group and topics with one of ours, and the reads and writes of the tests around it.
 * It exits with 0 if it did what it was asked to, with 2 if it did not understand, with 1 else.
 *
 * <pre>
 * topics   --kafka H:P --application-id ID --topology NAME [--partitions N]
 * produce  --kafka H:P --application-id ID --file F     lines of topic, key, value, timestamp, headers, separated by tabs
 * run      --kafka H:P --application-id ID --topology NAME --state-dir DIR [--guarantee exactly_once_v2|at_least_once]
 *          [--group-protocol classic|streams] [--threads N] [--to-end | --seconds S] [--set KEY=VALUE ...] [--leave yes|no]
 *          [--uncaught SHUTDOWN_CLIENT|SHUTDOWN_APPLICATION] [--poison WORD]   each state is told on standard error
 * lag      --kafka H:P --application-id ID --topology NAME    offsets between what is committed and the end of the inputs
 * dump     --kafka H:P --application-id ID --file F     every committed record of the application's topics
 * vacant   --kafka H:P --application-id ID              waits until the classic group has no members
 * drop     --kafka H:P --application-id ID              deletes them
 * serve    lines "number TAB command TAB option TAB value ..": each is done in a thread of its own, "number TAB ok|error TAB text" answers
 * </pre>
 *
 * The application's topics are those that begin with its id and a dot (inputs and output) or a hyphen (internal ones).
 */
public final class Takeover {
    private Takeover() {
    }

    public static void main(final String[] words) throws Exception {
        int status = 0;
        try {
            if (words.length == 1 && words[0].equals("serve")) {
                serve();
            } else {
                System.out.println(perform(new Arguments(List.of(words))));
            }
        } catch (final IllegalArgumentException refused) {
            System.err.println(refused.getMessage());
            status = 2;
        } catch (final Throwable failed) {
            failed.printStackTrace();
            status = 1;
        }
        System.out.flush();
        // Also past a shutdown hook that waits for this thread.
        Runtime.getRuntime().halt(status);
    }

    private static void serve() throws Exception {
        final BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        // The end of input is the end of whoever asks: everything that still runs ends with it.
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            final List<String> words = List.of(line.split("\t"));
            new Thread(() -> answer(words.get(0), words.subList(1, words.size()))).start();
        }
    }

    private static void answer(final String number, final List<String> words) {
        String text;
        try {
            text = "ok\t" + perform(new Arguments(words));
        } catch (final Throwable failed) {
            failed.printStackTrace();
            final StringBuilder said = new StringBuilder();
            for (Throwable cause = failed; cause != null; cause = cause.getCause()) {
                said.append(cause).append("; ");
            }
            text = "error\t" + said.toString().replaceAll("\\s+", " ");
        }
        synchronized (System.out) {
            System.out.println(number + "\t" + text);
            System.out.flush();
        }
    }

    private static String perform(final Arguments arguments) throws Exception {
        switch (arguments.command) {
            case "topics":
                return Topics.create(arguments);
            case "produce":
                return Topics.produce(arguments);
            case "dump":
                return Topics.dump(arguments);
            case "vacant":
                return Topics.vacant(arguments);
            case "drop":
                return Topics.drop(arguments);
            case "lag":
                return End.lag(arguments);
            case "run":
                return Run.run(arguments);
            default:
                throw new IllegalArgumentException("no command " + arguments.command);
        }
    }
}
