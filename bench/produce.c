/* A Kafka producer of the load that the bench wants: librdkafka, one process, COUNT messages of SIZE bytes over PARTITIONS
 * partitions of TOPIC, acks=all. Prints one JSON line: MB/s of acked payload, messages/s, own CPU seconds, failures.
 *
 * usage: produce BOOTSTRAP TOPIC COUNT SIZE PARTITIONS [name=value of librdkafka ...] */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static long acked, failed;

static void delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque) {
    (void)handle;
    (void)opaque;
    if (message->err) failed++; else acked++;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
    char error[512];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "%s=%s: %s\n", name, value, error);
        exit(2);
    }
}

int main(int argc, char **argv) {
    if (argc < 6) {
        fprintf(stderr, "usage: %s BOOTSTRAP TOPIC COUNT SIZE PARTITIONS [name=value ...]\n", argv[0]);
        return 2;
    }
    long count = atol(argv[3]), size = atol(argv[4]);
    int partitions = atoi(argv[5]);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", argv[1]);
    set(conf, "acks", "all");
    set(conf, "linger.ms", "5");
    set(conf, "batch.size", "1000000");
    set(conf, "batch.num.messages", "100000");
    set(conf, "queue.buffering.max.messages", "1000000");
    set(conf, "queue.buffering.max.kbytes", "524288");
    for (int i = 6; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals) return 2;
        *equals = 0;
        set(conf, argv[i], equals + 1);
    }
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    char error[512];
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (!producer) {
        fprintf(stderr, "%s\n", error);
        return 2;
    }
    rd_kafka_topic_t *topic = rd_kafka_topic_new(producer, argv[2], NULL);
    char *payload = malloc(size);
    unsigned state = 1;
    for (long i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        payload[i] = (char)(state >> 24);
    }
    double started = 0;
    for (long sent = 0; sent < count;) {
        int done = rd_kafka_produce(topic, (int)(sent / 1000 % partitions), RD_KAFKA_MSG_F_COPY, payload, size, NULL, 0, NULL);
        if (done == -1) {
            rd_kafka_poll(producer, 1);
            continue;
        }
        if (started == 0) started = seconds();
        sent++;
        if ((sent & 1023) == 0) rd_kafka_poll(producer, 0);
    }
    rd_kafka_flush(producer, 60000);
    double took = seconds() - started;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = usage.ru_utime.tv_sec + usage.ru_utime.tv_usec / 1e6 + usage.ru_stime.tv_sec + usage.ru_stime.tv_usec / 1e6;
    printf("{\"acked\": %ld, \"failed\": %ld, \"seconds\": %.3f, \"mb_per_second\": %.1f, \"messages_per_second\": %.0f, \"cpu_seconds\": %.3f}\n",
           acked, failed, took, acked * (double)size / 1e6 / took, acked / took, cpu);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(producer);
    return failed || acked != count;
}
