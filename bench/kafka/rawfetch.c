/* rawfetch: Fetch requests (version 4) from the beginning of all partitions to their end as it is at the start; looks at the
 * heads of batches only. One thread for each of `connections`, one request of each under way. */
#include "client.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int place;
    int64_t offset, end;
} position_t;

typedef struct {
    pthread_t thread;
    int number;
    position_t *open; /* partitions that are not read to their end; the one served longest ago first */
    int open_count;
    int64_t records, bytes, requests, empty;
    histogram_t latency;
} reading_t;

static struct {
    const char *bootstrap;
    places_t places;
    int connections, max_bytes, partition_bytes;
    int64_t until;
} fetch;

static void write_request(buffer_t *request, const reading_t *reading) {
    request_begin(request, 1, 4, (int32_t)reading->requests);
    put_i32(request, -1);
    put_i32(request, 100);
    put_i32(request, 1);
    put_i32(request, fetch.max_bytes);
    put_i8(request, 0);
    put_i32(request, reading->open_count); /* a topic for each partition: their order is the order of service */
    for (int i = 0; i < reading->open_count; i++) {
        put_text(request, place_topic(&fetch.places, reading->open[i].place));
        put_i32(request, 1);
        put_i32(request, place_partition(&fetch.places, reading->open[i].place));
        put_i64(request, reading->open[i].offset);
        put_i32(request, fetch.partition_bytes);
    }
    request_end(request, 0);
}

/* Goes from batch to batch; the last one may be cut off. */
static bool take_batches(reading_t *reading, position_t *position, const uint8_t *at, int64_t size) {
    bool any = false;
    while (size >= 61) {
        reader_t head = {at, at + size, false};
        int64_t base = get_i64(&head), length = get_i32(&head) + 12LL;
        skip(&head, 11);
        int32_t last = get_i32(&head);
        if (length < 61) die("a batch of %lld bytes", (long long)length);
        if (length > size) break;
        if (base + last >= position->offset) {
            reading->records += base + last + 1 - position->offset;
            position->offset = base + last + 1;
            any = true;
        }
        reading->bytes += length;
        at += length;
        size -= length;
    }
    return any;
}

static position_t *find(reading_t *reading, reader_t name, int length, int partition) {
    for (int i = 0; i < reading->open_count; i++) {
        position_t *position = &reading->open[i];
        const char *topic = place_topic(&fetch.places, position->place);
        if (place_partition(&fetch.places, position->place) == partition && (int)strlen(topic) == length &&
            memcmp(topic, name.at, length) == 0)
            return position;
    }
    die("a partition that was not asked for");
}

static void take_response(reading_t *reading, reader_t reader) {
    bool *served = calloc(reading->open_count, sizeof *served), any = false;
    skip(&reader, 4);
    for (int topics = get_i32(&reader); topics > 0 && !reader.bad; topics--) {
        int length = get_i16(&reader);
        reader_t name = reader;
        skip(&reader, length);
        for (int partitions = get_i32(&reader); partitions > 0 && !reader.bad; partitions--) {
            int partition = get_i32(&reader), error = get_i16(&reader);
            if (error) die("Fetch: error %d", error);
            skip(&reader, 16);
            int aborted = get_i32(&reader);
            if (aborted > 0) skip(&reader, aborted * 16LL);
            int32_t size = get_i32(&reader);
            const uint8_t *records = reader.at;
            if (size <= 0) continue;
            skip(&reader, size);
            if (reader.bad) break;
            position_t *position = find(reading, name, length, partition);
            if (take_batches(reading, position, records, size)) served[position - reading->open] = any = true;
        }
    }
    if (reader.bad) die("a Fetch response that does not parse");
    if (!any) reading->empty++;
    position_t *next = malloc(reading->open_count * sizeof *next);
    int count = 0;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < reading->open_count; i++)
            if (served[i] == (round == 1) && reading->open[i].offset < reading->open[i].end) next[count++] = reading->open[i];
    free(reading->open);
    free(served);
    reading->open = next;
    reading->open_count = count;
}

static void *read_all(void *argument) {
    reading_t *reading = argument;
    int fd = connect_to(fetch.bootstrap, 0);
    buffer_t request = {0}, response = {0};
    while (reading->open_count > 0 && now_ns() < fetch.until) {
        write_request(&request, reading);
        int64_t sent = now_ns();
        reader_t reader = call(fd, &request, &response);
        histogram_add(&reading->latency, (now_ns() - sent) / 1000);
        reading->requests++;
        take_response(reading, reader);
    }
    return NULL;
}

int command_rawfetch(const char *bootstrap, const char *topic) {
    fetch.bootstrap = bootstrap;
    fetch.places = places_from_options(topic);
    fetch.connections = (int)option_number("connections", 2);
    fetch.max_bytes = (int)option_number("max", 16 << 20);
    fetch.partition_bytes = (int)option_number("partition-max", 4 << 20);
    double seconds = option_number("seconds", 60);
    int64_t expected = (int64_t)option_number("count", 0);
    options_end();
    int fd = connect_to(bootstrap, 0);
    wait_for_places(fd, &fetch.places);
    reading_t *readings = calloc(fetch.connections, sizeof *readings), *total = calloc(1, sizeof *total);
    for (int place = 0; place < fetch.places.count; place++) {
        reading_t *reading = &readings[place % fetch.connections];
        const char *name = place_topic(&fetch.places, place);
        int partition = place_partition(&fetch.places, place);
        position_t position = {place, list_offset(fd, name, partition, -2), list_offset(fd, name, partition, -1)};
        if (!reading->open) reading->open = calloc(fetch.places.count, sizeof *reading->open);
        if (position.offset < position.end) reading->open[reading->open_count++] = position;
    }
    int64_t started = now_ns();
    fetch.until = started + (int64_t)(seconds * GIGA);
    for (int i = 0; i < fetch.connections; i++) pthread_create(&readings[i].thread, NULL, read_all, &readings[i]);
    for (int i = 0; i < fetch.connections; i++) {
        pthread_join(readings[i].thread, NULL);
        total->records += readings[i].records, total->bytes += readings[i].bytes, total->requests += readings[i].requests;
        total->empty += readings[i].empty, total->open_count += readings[i].open_count;
        histogram_merge(&total->latency, &readings[i].latency);
    }
    double took = (now_ns() - started) / 1e9;
    printf("{\"messages\": %lld, \"bytes\": %lld, \"requests\": %lld, \"empty\": %lld, \"unfinished\": %d, \"seconds\": %.3f, "
           "\"mb_per_second\": %.2f, \"messages_per_second\": %.0f, \"cpu_seconds\": %.3f, ",
           (long long)total->records, (long long)total->bytes, (long long)total->requests, (long long)total->empty,
           total->open_count, took, total->bytes / 1e6 / took, total->records / took, cpu_seconds());
    histogram_print("fetch", &total->latency);
    printf("}\n");
    return total->open_count > 0 || (expected > 0 && total->records != expected);
}
