package headwater;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A command and its options. What an option means is said where it is used. */
final class Arguments {
    final String command;
    /** Of {@code --set}, in order: the later one wins. */
    final Map<String, String> settings = new LinkedHashMap<>();
    private final Map<String, String> options = new HashMap<>();

    Arguments(final List<String> words) {
        if (words.isEmpty()) {
            throw new IllegalArgumentException("which command?");
        }
        command = words.get(0);
        for (int at = 1; at < words.size(); at++) {
            final String name = words.get(at);
            if (!name.startsWith("--")) {
                throw new IllegalArgumentException("no option " + name);
            }
            if (name.equals("--to-end")) {
                options.put(name, "");
                continue;
            }
            if (++at == words.size()) {
                throw new IllegalArgumentException(name + " needs a value");
            }
            if (!name.equals("--set")) {
                options.put(name, words.get(at));
                continue;
            }
            final String[] pair = words.get(at).split("=", 2);
            if (pair.length < 2) {
                throw new IllegalArgumentException("--set wants KEY=VALUE");
            }
            settings.put(pair[0], pair[1]);
        }
    }

    boolean has(final String name) {
        return options.containsKey(name);
    }

    String get(final String name) {
        final String value = options.get(name);
        if (value == null) {
            throw new IllegalArgumentException(command + " needs " + name);
        }
        return value;
    }

    String get(final String name, final String otherwise) {
        return options.getOrDefault(name, otherwise);
    }

    String servers() {
        return get("--kafka");
    }

    String applicationId() {
        return get("--application-id");
    }

    /** One of the application's own topics by its short name. */
    String topic(final String name) {
        return applicationId() + "." + name;
    }

    boolean owns(final String topic) {
        return topic.startsWith(applicationId() + ".") || topic.startsWith(applicationId() + "-");
    }
}
