/* produce: librdkafka, COUNT messages or SECONDS of them, at a rate or as fast as it goes, each ack's latency measured from
 * rd_kafka_produce to the delivery report. One librdkafka producer and one thread for each of `connections`. */
#include "client.h"
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    places_t places;
    int connections;
    int64_t count, size, run;
    double rate, seconds, warmup;
    uint8_t *payload;
    int64_t started, from, until; /* acks are counted between these two */
} load;

typedef struct {
    pthread_t thread;
    int number;
    rd_kafka_t *handle;
    rd_kafka_topic_t **topics;
    int64_t sent, acked, acked_in_window, failed, first_error, last_ack;
    histogram_t acks;
} producer_t;

static void delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque) {
    (void)handle;
    producer_t *producer = opaque;
    if (message->err) {
        producer->failed++;
        producer->first_error = producer->first_error ? producer->first_error : message->err;
        return;
    }
    int64_t now = now_ns(), sent = (int64_t)(intptr_t)message->_private;
    producer->acked++;
    producer->last_ack = now;
    if (now >= load.from && now < load.until) producer->acked_in_window++;
    if (sent >= load.from) histogram_add(&producer->acks, (now - sent) / 1000);
}

static void set(void *conf, const char *name, const char *value) {
    char error[512];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) die("%s=%s: %s", name, value, error);
}

static void open_producer(producer_t *producer, const char *bootstrap) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char error[512];
    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "acks", "all");
    set(conf, "linger.ms", "5");
    set(conf, "batch.size", "1000000");
    set(conf, "batch.num.messages", "100000");
    set(conf, "queue.buffering.max.messages", "1000000");
    set(conf, "queue.buffering.max.kbytes", "262144");
    options_of_librdkafka(set, conf);
    rd_kafka_conf_set_opaque(conf, producer);
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    producer->handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (!producer->handle) die("%s", error);
    producer->topics = calloc(load.places.topics, sizeof *producer->topics);
    for (int i = 0; i < load.places.topics; i++)
        producer->topics[i] = rd_kafka_topic_new(producer->handle, load.places.names[i], NULL);
}

/* Messages that this producer may have sent by now. */
static int64_t allowed(int64_t now) {
    if (load.rate == 0) return INT64_MAX;
    return (int64_t)((now - load.started) / 1e9 * load.rate / load.connections) + 1;
}

static void *produce(void *argument) {
    producer_t *producer = argument;
    /* Places go round the connections: place n belongs to connection n % connections. */
    int own = (load.places.count - producer->number + load.connections - 1) / load.connections;
    int64_t count = load.count / load.connections + (producer->number < load.count % load.connections);
    for (;;) {
        int64_t now = now_ns();
        if (load.seconds > 0 ? now >= load.until : producer->sent >= count) break;
        int64_t ready = allowed(now) - producer->sent;
        for (int burst = 0; burst < 1024 && burst < ready && (load.seconds > 0 || producer->sent < count); burst++) {
            int place = (int)(producer->sent / load.run % own) * load.connections + producer->number;
            if (rd_kafka_produce(producer->topics[place / load.places.partitions], place_partition(&load.places, place), 0,
                                 load.payload, load.size, NULL, 0, (void *)(intptr_t)now_ns()) == -1) {
                if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) die("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
                rd_kafka_poll(producer->handle, 1);
                break;
            }
            producer->sent++;
        }
        rd_kafka_poll(producer->handle, load.rate > 0 ? 1 : 0); /* the tick: a millisecond at most */
    }
    rd_kafka_flush(producer->handle, 60000);
    return NULL;
}

static void print_result(producer_t *producers) {
    producer_t *total = calloc(1, sizeof *total);
    for (int i = 0; i < load.connections; i++) {
        producer_t *each = &producers[i];
        total->sent += each->sent, total->acked += each->acked, total->failed += each->failed;
        total->acked_in_window += each->acked_in_window;
        if (each->last_ack > total->last_ack) total->last_ack = each->last_ack;
        if (each->first_error) total->first_error = each->first_error;
        histogram_merge(&total->acks, &each->acks);
    }
    bool windowed = load.seconds > 0;
    double took = ((windowed ? load.until : total->last_ack) - load.from) / 1e9;
    double messages = windowed ? total->acked_in_window : total->acked;
    printf("{\"sent\": %lld, \"acked\": %lld, \"failed\": %lld, \"error\": \"%s\", \"seconds\": %.3f, \"mb_per_second\": %.2f, "
           "\"messages_per_second\": %.0f, \"cpu_seconds\": %.3f, ",
           (long long)total->sent, (long long)total->acked, (long long)total->failed,
           total->first_error ? rd_kafka_err2name((rd_kafka_resp_err_t)total->first_error) : "", took,
           messages * load.size / 1e6 / took, messages / took, cpu_seconds());
    histogram_print("ack", &total->acks);
    printf("}\n");
}

int command_produce(const char *bootstrap, const char *topic) {
    load.places = places_from_options(topic);
    load.connections = (int)option_number("connections", 1);
    load.size = (int64_t)option_number("size", 1000);
    load.seconds = option_number("seconds", 0);
    load.warmup = option_number("warmup", 0);
    load.count = (int64_t)option_number("count", load.seconds > 0 ? 0 : 1000000);
    load.rate = option_number("rate", option_number("mbs", 0) * 1e6 / load.size);
    /* Messages that go to one partition before the next one's turn: at full speed, about a batch. */
    int64_t batch = load.size > 1000 ? 1000000 / load.size : 1000;
    load.run = (int64_t)option_number("run", load.rate > 0 ? 1 : batch > 0 ? batch : 1);
    options_end();
    if (load.connections < 1 || load.connections > load.places.count) die("connections: 1 to the number of partitions");
    if (load.run < 1) load.run = 1;
    load.payload = malloc(load.size + 1);
    fill_random(load.payload, load.size);
    producer_t *producers = calloc(load.connections, sizeof *producers);
    for (int i = 0; i < load.connections; i++) {
        producers[i].number = i;
        open_producer(&producers[i], bootstrap);
    }
    int fd = connect_to(bootstrap, 0);
    wait_for_places(fd, &load.places);
    load.started = now_ns();
    load.from = load.started + (int64_t)(load.warmup * GIGA);
    load.until = load.started + (int64_t)(load.seconds * GIGA);
    for (int i = 0; i < load.connections; i++) pthread_create(&producers[i].thread, NULL, produce, &producers[i]);
    for (int i = 0; i < load.connections; i++) pthread_join(producers[i].thread, NULL);
    print_result(producers);
    bool good = true;
    for (int i = 0; i < load.connections; i++) good = good && producers[i].acked == producers[i].sent;
    /* Not destroyed: the process ends here, and destroying a slow producer may take long. */
    fflush(stdout);
    return good ? 0 : 1;
}
