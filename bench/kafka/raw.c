/* raw: Produce requests (version 7) with one ready-made batch over and over, without librdkafka and with one thread, so that
 * the latency measured is the broker's. At an offered rate (`mbs`) a request is due whether or not the ones before it were
 * answered: "due" is measured from that time, "ack" from the time it was begun to be sent. Closed loop without a rate. */
#include "client.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

typedef struct {
    int64_t due, sent;
} request_t;

typedef struct {
    int fd;
    request_t *flying; /* a ring of `depth` */
    int first, count;
    buffer_t head;      /* of the request that is being sent */
    size_t written;     /* of head and batch; equal to their sum when none is */
    bool waits_for_room;
    uint8_t response[65536];
    size_t received;
} connection_t;

static struct {
    places_t places;
    int connections, depth, acks, records;
    int64_t record_bytes;
    buffer_t batch;
    int epoll;
    connection_t *all;
    int64_t started, from, until;
    int64_t requests, answered, answered_in_window, errors, flying;
    int first_error;
    histogram_t ack, due;
} raw;

static bool is_sending(const connection_t *c) { return c->written < c->head.length + raw.batch.length; }

static void write_on(connection_t *c) {
    while (is_sending(c)) {
        struct iovec parts[2];
        int count = 0;
        if (c->written < c->head.length)
            parts[count++] = (struct iovec){c->head.bytes + c->written, c->head.length - c->written};
        size_t done = c->written > c->head.length ? c->written - c->head.length : 0;
        parts[count++] = (struct iovec){raw.batch.bytes + done, raw.batch.length - done};
        ssize_t wrote = writev(c->fd, parts, count);
        if (wrote < 0 && errno == EAGAIN) break;
        if (wrote <= 0) die("write: %s", strerror(errno));
        c->written += wrote;
    }
    if (is_sending(c) == c->waits_for_room) return;
    c->waits_for_room = is_sending(c);
    struct epoll_event event = {.events = EPOLLIN | (c->waits_for_room ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(raw.epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static void begin(connection_t *c, int64_t due) {
    int place = (int)(raw.requests % raw.places.count);
    request_begin(&c->head, 0, 7, (int32_t)raw.requests);
    put_i16(&c->head, -1); /* no transactional id */
    put_i16(&c->head, (int16_t)raw.acks);
    put_i32(&c->head, 60000);
    put_i32(&c->head, 1);
    put_text(&c->head, place_topic(&raw.places, place));
    put_i32(&c->head, 1);
    put_i32(&c->head, place_partition(&raw.places, place));
    put_i32(&c->head, (int32_t)raw.batch.length);
    request_end(&c->head, raw.batch.length);
    c->written = 0;
    c->flying[(c->first + c->count++) % raw.depth] = (request_t){due, now_ns()};
    raw.requests++;
    raw.flying++;
    write_on(c);
}

static void answered(connection_t *c, reader_t reader) {
    skip(&reader, 8); /* correlation id, number of topics */
    skip_text(&reader);
    skip(&reader, 8);
    int error = get_i16(&reader);
    if (reader.bad || c->count == 0) die("a Produce response that does not parse or was not asked for");
    request_t request = c->flying[c->first];
    c->first = (c->first + 1) % raw.depth;
    c->count--;
    raw.flying--;
    raw.answered++;
    if (error) {
        raw.errors++;
        raw.first_error = raw.first_error ? raw.first_error : error;
        return;
    }
    int64_t now = now_ns();
    if (now >= raw.from && now < raw.until) raw.answered_in_window++;
    if (request.due < raw.from) return;
    histogram_add(&raw.ack, (now - request.sent) / 1000);
    histogram_add(&raw.due, (now - request.due) / 1000);
}

static void read_on(connection_t *c) {
    ssize_t done = read(c->fd, c->response + c->received, sizeof c->response - c->received);
    if (done < 0 && errno == EAGAIN) return;
    if (done <= 0) die("read: %s", done == 0 ? "the broker closed the connection" : strerror(errno));
    c->received += done;
    size_t at = 0;
    while (c->received - at >= 4) {
        reader_t start = {c->response + at, c->response + c->received, false};
        size_t size = (size_t)get_i32(&start);
        if (size + 4 > sizeof c->response) die("a Produce response of %zu bytes", size);
        if (c->received - at < size + 4) break;
        answered(c, (reader_t){start.at, start.at + size, false});
        at += size + 4;
    }
    memmove(c->response, c->response + at, c->received - at);
    c->received -= at;
}

static connection_t *with_room(void) {
    static int last;
    for (int i = 0; i < raw.connections; i++) {
        connection_t *c = &raw.all[last = (last + 1) % raw.connections];
        if (c->count < raw.depth && !is_sending(c)) return c;
    }
    return NULL;
}

static void wait_for_events(int64_t at_most_ns) {
    struct epoll_event events[64];
    struct timespec limit = {at_most_ns / GIGA, at_most_ns % GIGA};
    int count = epoll_pwait2(raw.epoll, events, 64, &limit, NULL);
    if (count < 0 && errno != EINTR) die("epoll: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        if (events[i].events & EPOLLOUT) write_on(events[i].data.ptr);
        if (events[i].events & ~(uint32_t)EPOLLOUT) read_on(events[i].data.ptr);
    }
}

static void open_connections(const char *bootstrap) {
    raw.epoll = epoll_create1(0);
    raw.all = calloc(raw.connections, sizeof *raw.all);
    for (int i = 0; i < raw.connections; i++) {
        connection_t *c = &raw.all[i];
        c->fd = connect_to(bootstrap, 0);
        if (i == 0) wait_for_places(c->fd, &raw.places);
        c->flying = calloc(raw.depth, sizeof *c->flying);
        request_begin(&c->head, 0, 7, 0);
        c->written = c->head.length + raw.batch.length;
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(raw.epoll, EPOLL_CTL_ADD, c->fd, &event);
    }
}

int command_raw(const char *bootstrap, const char *topic) {
    raw.places = places_from_options(topic);
    raw.connections = (int)option_number("connections", 4);
    raw.depth = (int)option_number("inflight", 16);
    raw.acks = strcmp(option_text("acks", "all"), "all") == 0 ? -1 : (int)option_number("acks", 1);
    raw.record_bytes = (int64_t)option_number("size", 1000);
    size_t batch_bytes = (size_t)option_number("batch", 262144);
    double rate = option_number("mbs", 0), seconds = option_number("seconds", 5), warmup = option_number("warmup", 1);
    int64_t requests_max = (int64_t)option_number("requests", 0);
    options_end();
    if (raw.acks == 0 || raw.connections < 1 || raw.depth < 1) die("acks=0 has no answers to measure; connections and inflight are at least 1");
    raw.batch = record_batch(batch_bytes, raw.record_bytes, &raw.records);
    open_connections(bootstrap);
    double request_bytes = (double)raw.records * raw.record_bytes;
    double interval = rate > 0 ? request_bytes * 1e3 / rate : 0; /* ns between two requests */
    raw.started = now_ns();
    raw.from = raw.started + (int64_t)(warmup * GIGA);
    raw.until = raw.started + (int64_t)(seconds * GIGA);
    int64_t unsent = 0;
    for (int64_t now; (now = now_ns()) < raw.until && (requests_max == 0 || raw.requests < requests_max);) {
        int64_t due = raw.started + (int64_t)(raw.requests * interval);
        connection_t *c = due <= now ? with_room() : NULL;
        if (c) begin(c, rate > 0 ? due : now);
        else if (due > now && due - now > 1000) wait_for_events(due - now < GIGA / 100 ? due - now : GIGA / 100);
        else if (due <= now) wait_for_events(GIGA / 100);
        /* Answers are looked for between any two requests, or their latency would contain our sending. */
        if (c) wait_for_events(0);
    }
    if (rate > 0 && requests_max == 0) unsent = (int64_t)((raw.until - raw.started) / interval) - raw.requests;
    for (int64_t limit = now_ns() + 60 * GIGA; raw.flying > 0 && now_ns() < limit;) wait_for_events(GIGA / 10);
    double took = (raw.until - raw.from) / 1e9;
    printf("{\"requests\": %lld, \"answered\": %lld, \"errors\": %lld, \"error\": %d, \"unsent\": %lld, \"batch_bytes\": %zu, "
           "\"records\": %d, \"bytes\": %.0f, \"mb_per_second\": %.2f, \"messages_per_second\": %.0f, \"cpu_seconds\": %.3f, ",
           (long long)raw.requests, (long long)raw.answered, (long long)raw.errors, raw.first_error,
           (long long)(unsent > 0 ? unsent : 0), raw.batch.length, raw.records, raw.answered * request_bytes,
           raw.answered_in_window * request_bytes / 1e6 / took, raw.answered_in_window * (double)raw.records / took,
           cpu_seconds());
    histogram_print("ack", &raw.ack);
    printf(", ");
    histogram_print("due", &raw.due);
    printf("}\n");
    return raw.errors > 0 || raw.flying > 0;
}
