/* e2e: messages with the time of their production in them, at a rate, and a consumer in the same process that reads the
 * clock when it gets them. Options of librdkafka go to both. */
#include "client.h"
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    places_t places;
    int64_t from, run_id;
    int64_t sent, acked, failed, received;
    volatile bool is_over;
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
    histogram_t acks, ends;
} e2e;

typedef struct {
    int64_t run_id, sent;
} stamp_t;

static void set(void *conf, const char *name, const char *value) {
    char error[512];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) die("%s=%s: %s", name, value, error);
}

static void delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque) {
    (void)handle, (void)opaque;
    int64_t sent = (int64_t)(intptr_t)message->_private;
    if (message->err) e2e.failed++;
    else e2e.acked++;
    if (!message->err && sent >= e2e.from) histogram_add(&e2e.acks, (now_ns() - sent) / 1000);
}

static rd_kafka_t *open_handle(rd_kafka_type_t type, const char *bootstrap) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char error[512];
    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "log_level", "3");
    if (type == RD_KAFKA_PRODUCER) {
        set(conf, "acks", "all");
        set(conf, "linger.ms", "0");
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    } else {
        set(conf, "group.id", "bench-e2e");
        set(conf, "enable.auto.commit", "false");
    }
    options_of_librdkafka(set, conf);
    rd_kafka_t *handle = rd_kafka_new(type, conf, error, sizeof error);
    if (!handle) die("%s", error);
    return handle;
}

/* From the ends as they are now: what is produced later is read whenever the consumer gets there. */
static void assign_ends(const char *bootstrap) {
    int fd = connect_to(bootstrap, 0);
    wait_for_places(fd, &e2e.places);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(e2e.places.count);
    for (int place = 0; place < e2e.places.count; place++) {
        const char *topic = place_topic(&e2e.places, place);
        int partition = place_partition(&e2e.places, place);
        rd_kafka_topic_partition_list_add(list, topic, partition)->offset = list_offset(fd, topic, partition, -1);
    }
    if (rd_kafka_assign(e2e.consumer, list)) die("assign");
    rd_kafka_topic_partition_list_destroy(list);
}

static void *consume(void *argument) {
    (void)argument;
    rd_kafka_message_t *messages[1000];
    while (!e2e.is_over) {
        /* One is waited for, then all that are there are taken: to ask for many at once would wait for many. */
        messages[0] = rd_kafka_consume_queue(e2e.queue, 100);
        if (!messages[0]) continue;
        ssize_t more = rd_kafka_consume_batch_queue(e2e.queue, 0, messages + 1, 999), count = 1 + (more > 0 ? more : 0);
        int64_t now = now_ns();
        for (ssize_t i = 0; i < count; i++) {
            stamp_t stamp = {0};
            if (!messages[i]->err && messages[i]->len >= sizeof stamp) memcpy(&stamp, messages[i]->payload, sizeof stamp);
            if (stamp.run_id == e2e.run_id) {
                __atomic_add_fetch(&e2e.received, 1, __ATOMIC_RELAXED);
                if (stamp.sent >= e2e.from) histogram_add(&e2e.ends, (now - stamp.sent) / 1000);
            }
            rd_kafka_message_destroy(messages[i]);
        }
    }
    return NULL;
}

int command_e2e(const char *bootstrap, const char *topic) {
    e2e.places = places_from_options(topic);
    int64_t size = (int64_t)option_number("size", 1000);
    double rate = option_number("rate", 1000), seconds = option_number("seconds", 10), warmup = option_number("warmup", 2);
    options_end();
    if (size < (int64_t)sizeof(stamp_t)) die("size: at least %zu", sizeof(stamp_t));
    e2e.run_id = now_ns();
    e2e.consumer = open_handle(RD_KAFKA_CONSUMER, bootstrap);
    e2e.queue = rd_kafka_queue_get_consumer(e2e.consumer);
    rd_kafka_t *producer = open_handle(RD_KAFKA_PRODUCER, bootstrap);
    rd_kafka_topic_t **topics = calloc(e2e.places.topics, sizeof *topics);
    for (int i = 0; i < e2e.places.topics; i++) topics[i] = rd_kafka_topic_new(producer, e2e.places.names[i], NULL);
    assign_ends(bootstrap);
    pthread_t reader;
    pthread_create(&reader, NULL, consume, NULL);
    uint8_t *payload = malloc(size);
    fill_random(payload, size);
    int64_t started = now_ns(), until = started + (int64_t)(seconds * GIGA);
    e2e.from = started + (int64_t)(warmup * GIGA);
    for (int64_t now; (now = now_ns()) < until;) {
        while (e2e.sent <= (int64_t)((now - started) / 1e9 * rate)) {
            int place = (int)(e2e.sent % e2e.places.count);
            stamp_t stamp = {e2e.run_id, now_ns()};
            memcpy(payload, &stamp, sizeof stamp);
            if (rd_kafka_produce(topics[place / e2e.places.partitions], place_partition(&e2e.places, place), RD_KAFKA_MSG_F_COPY,
                                 payload, size, NULL, 0, (void *)(intptr_t)stamp.sent) == -1) break;
            e2e.sent++;
        }
        rd_kafka_poll(producer, 1);
    }
    rd_kafka_flush(producer, 30000);
    for (int i = 0; i < 1000 && __atomic_load_n(&e2e.received, __ATOMIC_RELAXED) < e2e.acked; i++) sleep_ns(GIGA / 100);
    e2e.is_over = true;
    pthread_join(reader, NULL);
    printf("{\"sent\": %lld, \"acked\": %lld, \"failed\": %lld, \"received\": %lld, \"cpu_seconds\": %.3f, ", (long long)e2e.sent,
           (long long)e2e.acked, (long long)e2e.failed, (long long)e2e.received, cpu_seconds());
    histogram_print("ack", &e2e.acks);
    printf(", ");
    histogram_print("e2e", &e2e.ends);
    printf("}\n");
    fflush(stdout);
    return e2e.failed > 0 || e2e.received != e2e.sent;
}
