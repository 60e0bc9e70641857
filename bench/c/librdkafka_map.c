/*
 * The job "map" of `headwater-bench kafka streams` as a loop of librdkafka: reads, writes each value in capitals with its key and its
 * timestamp, and commits both together at each interval. Exactly once it is one transaction an interval, with the positions of the group
 * in it, read again by nobody else; at least once it flushes and then commits the positions. One thread of its own beside librdkafka's.
 * One JSON line a run; CPU time and memory are measured by whoever starts it. What goes wrong ends it: it handles no failure.
 *
 *     librdkafka_map BOOTSTRAP APPLICATION RECORDS INPUT NAME=VALUE..
 *
 * The output goes to APPLICATION-out. Of the settings it takes processing.guarantee and commit.interval.ms; it has no state to cache, and
 * num.stream.threads must be 1.
 */
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Messages taken from the queue at a time. */
#define BATCH_MAX 10000
/* Partitions of the input. */
#define PARTITIONS_MAX 64
/* ms a call of the broker may take, and the first record. */
#define CALL_MS_MAX 60000
/* ms to wait for records before it looks whether a commit is due. */
#define WAIT_MS 2

static long failed_deliveries = 0;

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static void check(rd_kafka_error_t *error, const char *what) {
    if (error) die("%s: %s", what, rd_kafka_error_string(error));
}

static void check_code(rd_kafka_resp_err_t code, const char *what) {
    if (code) die("%s: %s", what, rd_kafka_err2str(code));
}

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
    char error[512];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) die("%s", error);
}

/* Only failures are reported. */
static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque) {
    (void)producer, (void)opaque;
    if (message->err) failed_deliveries++;
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
    char error[512];
    rd_kafka_t *client = rd_kafka_new(type, conf, error, sizeof error);
    if (!client) die("%s", error);
    return client;
}

static rd_kafka_t *open_consumer(const char *bootstrap, const char *group, const char *topic) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "group.id", group);
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.auto.offset.store", "false");
    set(conf, "isolation.level", "read_committed");
    // Above 100,000 records in its queue, the default, librdkafka fetches none for a second (fetch.queue.backoff.ms, which older
    // versions do not let one choose); a loop that transforms empties the queue long before.
    set(conf, "queued.min.messages", "10000000");
    set(conf, "queued.max.messages.kbytes", "262144");
    rd_kafka_t *consumer = client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    check_code(rd_kafka_subscribe(consumer, topics), "subscribe");
    rd_kafka_topic_partition_list_destroy(topics);
    return consumer;
}

/* Batches as large as kcat's in the job "produce". */
static rd_kafka_t *open_producer(const char *bootstrap, const char *application, int is_exactly_once) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "enable.idempotence", "true");
    set(conf, "linger.ms", "20");
    set(conf, "batch.size", "262144");
    set(conf, "partitioner", "murmur2_random");
    set(conf, "delivery.report.only.error", "true");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    if (is_exactly_once) set(conf, "transactional.id", application);
    rd_kafka_t *producer = client(RD_KAFKA_PRODUCER, conf);
    if (is_exactly_once) check(rd_kafka_init_transactions(producer, CALL_MS_MAX), "init");
    return producer;
}

static char upper(char byte) {
    return byte >= 'a' && byte <= 'z' ? byte - 32 : byte;
}

/* Copies the value in capitals into the producer. */
static void map(rd_kafka_t *producer, rd_kafka_topic_t *output, const rd_kafka_message_t *message) {
    static char *value = NULL;
    static size_t capacity = 0;
    if (message->len > capacity) {
        capacity = 2 * message->len;
        value = realloc(value, capacity);
        if (!value) die("no memory");
    }
    const char *from = message->payload;
    for (size_t at = 0; at < message->len; at++) value[at] = upper(from[at]);
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(message, &type);
    rd_kafka_resp_err_t code;
    do {
        code = rd_kafka_producev(producer, RD_KAFKA_V_RKT(output), RD_KAFKA_V_PARTITION(RD_KAFKA_PARTITION_UA),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(message->key, message->key_len),
                                 RD_KAFKA_V_VALUE(value, message->len), RD_KAFKA_V_TIMESTAMP(timestamp), RD_KAFKA_V_END);
        /* The queue is full: wait until some of it is out. */
        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) rd_kafka_poll(producer, WAIT_MS);
    } while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL);
    check_code(code, "produce");
}

/* Output and positions, together or one after the other. */
static void commit(rd_kafka_t *producer, rd_kafka_t *consumer, int is_exactly_once, const char *topic, const int64_t *next) {
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(PARTITIONS_MAX);
    for (int partition = 0; partition < PARTITIONS_MAX; partition++) {
        if (next[partition] > 0) rd_kafka_topic_partition_list_add(offsets, topic, partition)->offset = next[partition];
    }
    if (is_exactly_once) {
        rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(consumer);
        check(rd_kafka_send_offsets_to_transaction(producer, offsets, group, CALL_MS_MAX), "offsets");
        rd_kafka_consumer_group_metadata_destroy(group);
        check(rd_kafka_commit_transaction(producer, CALL_MS_MAX), "commit");
    } else {
        check_code(rd_kafka_flush(producer, CALL_MS_MAX), "flush");
        check_code(rd_kafka_commit(consumer, offsets, 0), "commit");
    }
    if (failed_deliveries) die("%ld records were not written", failed_deliveries);
    rd_kafka_topic_partition_list_destroy(offsets);
}

int main(int count, char **words) {
    if (count < 5) die("BOOTSTRAP APPLICATION RECORDS INPUT NAME=VALUE..");
    const char *bootstrap = words[1], *application = words[2], *input = words[4];
    long records = atol(words[3]), seen = 0, commits = 0;
    int is_exactly_once = 0;
    double interval_ms = 0;
    for (int at = 5; at < count; at++) {
        if (!strcmp(words[at], "processing.guarantee=exactly_once_v2")) is_exactly_once = 1;
        if (!strncmp(words[at], "commit.interval.ms=", 19)) interval_ms = atof(words[at] + 19);
        if (!strncmp(words[at], "num.stream.threads=", 19) && strcmp(words[at] + 19, "1")) die("it has one thread");
    }
    if (interval_ms <= 0) die("commit.interval.ms is missing");
    char output_name[256];
    snprintf(output_name, sizeof output_name, "%s-out", application);
    rd_kafka_t *producer = open_producer(bootstrap, application, is_exactly_once);
    rd_kafka_topic_t *output = rd_kafka_topic_new(producer, output_name, NULL);
    rd_kafka_t *consumer = open_consumer(bootstrap, application, input);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    static rd_kafka_message_t *batch[BATCH_MAX];
    int64_t next[PARTITIONS_MAX] = {0};
    double begin = now_ms(), first = 0, last = 0, committed = 0;
    int is_open = 0;
    while (seen < records) {
        ssize_t taken = rd_kafka_consume_batch_queue(queue, WAIT_MS, batch, BATCH_MAX);
        if (taken < 0) die("consume: %s", rd_kafka_err2str(rd_kafka_last_error()));
        double now = now_ms();
        if (!seen && now - begin > CALL_MS_MAX) die("nothing came");
        for (ssize_t at = 0; at < taken; at++) {
            rd_kafka_message_t *message = batch[at];
            check_code(message->err, "consume");
            if (!seen++) first = committed = now;
            if (!is_open && is_exactly_once) check(rd_kafka_begin_transaction(producer), "begin");
            is_open = 1;
            if (message->partition >= PARTITIONS_MAX) die("too many partitions");
            map(producer, output, message);
            next[message->partition] = message->offset + 1;
            rd_kafka_message_destroy(message);
        }
        rd_kafka_poll(producer, 0);
        if (is_open && now - committed >= interval_ms) {
            committed = now;
            commit(producer, consumer, is_exactly_once, input, next);
            is_open = 0;
            commits++;
        }
    }
    last = now_ms();
    if (is_open) {
        commit(producer, consumer, is_exactly_once, input, next);
        commits++;
    }
    rd_kafka_queue_destroy(queue);
    check_code(rd_kafka_consumer_close(consumer), "close");
    rd_kafka_topic_destroy(output);
    rd_kafka_destroy(consumer);
    rd_kafka_destroy(producer);
    printf("{\"job\":\"map\",\"records\":%ld,\"seconds\":%.4f,\"seconds_closed\":%.4f,\"commits\":%ld,\"librdkafka\":\"%s\"}\n", seen,
           (last - first) / 1e3, (now_ms() - first) / 1e3, commits, rd_kafka_version_str());
    return 0;
}
