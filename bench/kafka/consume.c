/* consume: librdkafka, all partitions from their beginning to their end as it is at the start. */
#include "client.h"
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

static void set(void *conf, const char *name, const char *value) {
    char error[512];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) die("%s=%s: %s", name, value, error);
}

static rd_kafka_t *open_consumer(const char *bootstrap) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char error[512];
    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "group.id", "bench-consume");
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.partition.eof", "true");
    set(conf, "fetch.max.bytes", "52428800");
    set(conf, "max.partition.fetch.bytes", "8388608");
    set(conf, "fetch.wait.max.ms", "100");
    set(conf, "queued.min.messages", "1000000");
    set(conf, "queued.max.messages.kbytes", "262144");
    set(conf, "log_level", "3");
    options_of_librdkafka(set, conf);
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
    if (!consumer) die("%s", error);
    return consumer;
}

int command_consume(const char *bootstrap, const char *topic) {
    places_t places = places_from_options(topic);
    double seconds = option_number("seconds", 60);
    int64_t expected = (int64_t)option_number("count", 0);
    options_end();
    int fd = connect_to(bootstrap, 0);
    wait_for_places(fd, &places);
    rd_kafka_t *consumer = open_consumer(bootstrap);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(places.count);
    int open = 0;
    for (int place = 0; place < places.count; place++) {
        const char *name = place_topic(&places, place);
        int partition = place_partition(&places, place);
        int64_t begin = list_offset(fd, name, partition, -2);
        if (list_offset(fd, name, partition, -1) == begin) continue;
        rd_kafka_topic_partition_list_add(list, name, partition)->offset = begin;
        open++;
    }
    int64_t started = now_ns(), until = started + (int64_t)(seconds * GIGA), messages = 0, bytes = 0, errors = 0;
    if (rd_kafka_assign(consumer, list)) die("assign");
    static rd_kafka_message_t *batch[10000];
    while (open > 0 && now_ns() < until) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, 100, batch, 10000);
        for (ssize_t i = 0; i < count; i++) {
            if (batch[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) open--;
            else if (batch[i]->err) errors++;
            else messages++, bytes += (int64_t)batch[i]->len;
            rd_kafka_message_destroy(batch[i]);
        }
    }
    double took = (now_ns() - started) / 1e9;
    printf("{\"messages\": %lld, \"bytes\": %lld, \"errors\": %lld, \"unfinished\": %d, \"seconds\": %.3f, \"mb_per_second\": %.2f, "
           "\"messages_per_second\": %.0f, \"cpu_seconds\": %.3f}\n",
           (long long)messages, (long long)bytes, (long long)errors, open, took, bytes / 1e6 / took, messages / took, cpu_seconds());
    fflush(stdout);
    return errors > 0 || open > 0 || (expected > 0 && messages != expected);
}
