/* As much of the Kafka protocol as is needed without librdkafka. Source: Kafka protocol guide. */
#include "client.h"
#include <endian.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void buffer_room(buffer_t *buffer, size_t more) {
    if (buffer->length + more <= buffer->capacity) return;
    buffer->capacity = (buffer->length + more) * 2;
    buffer->bytes = realloc(buffer->bytes, buffer->capacity);
    if (!buffer->bytes) die("no memory for %zu bytes", buffer->capacity);
}

static void put(buffer_t *buffer, const void *bytes, size_t size) {
    buffer_room(buffer, size);
    memcpy(buffer->bytes + buffer->length, bytes, size);
    buffer->length += size;
}

void put_i8(buffer_t *buffer, int8_t value) { put(buffer, &value, 1); }
void put_i16(buffer_t *buffer, int16_t value) { put(buffer, &(uint16_t){htobe16((uint16_t)value)}, 2); }
void put_i32(buffer_t *buffer, int32_t value) { put(buffer, &(uint32_t){htobe32((uint32_t)value)}, 4); }
void put_i64(buffer_t *buffer, int64_t value) { put(buffer, &(uint64_t){htobe64((uint64_t)value)}, 8); }

void put_text(buffer_t *buffer, const char *text) {
    put_i16(buffer, (int16_t)strlen(text));
    put(buffer, text, strlen(text));
}

static void put_varint(buffer_t *buffer, int64_t value) {
    uint64_t rest = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    for (; rest >= 128; rest >>= 7) put_i8(buffer, (int8_t)(rest | 128));
    put_i8(buffer, (int8_t)rest);
}

void patch_i32(uint8_t *at, int32_t value) { memcpy(at, &(uint32_t){htobe32((uint32_t)value)}, 4); }

void request_begin(buffer_t *buffer, int16_t api, int16_t version, int32_t correlation) {
    buffer->length = 0;
    put_i32(buffer, 0);
    put_i16(buffer, api);
    put_i16(buffer, version);
    put_i32(buffer, correlation);
    put_text(buffer, "cairn-bench");
}

void request_end(buffer_t *buffer, size_t extra) { patch_i32(buffer->bytes, (int32_t)(buffer->length - 4 + extra)); }

static const uint8_t *take(reader_t *reader, int64_t bytes) {
    static const uint8_t nothing[8];
    if (bytes < 0 || reader->end - reader->at < bytes) {
        reader->bad = true;
        return nothing;
    }
    reader->at += bytes;
    return reader->at - bytes;
}

int16_t get_i16(reader_t *reader) {
    uint16_t value;
    memcpy(&value, take(reader, 2), 2);
    return (int16_t)be16toh(value);
}

int32_t get_i32(reader_t *reader) {
    uint32_t value;
    memcpy(&value, take(reader, 4), 4);
    return (int32_t)be32toh(value);
}

int64_t get_i64(reader_t *reader) {
    uint64_t value;
    memcpy(&value, take(reader, 8), 8);
    return (int64_t)be64toh(value);
}

void skip(reader_t *reader, int64_t bytes) { take(reader, bytes); }

void skip_text(reader_t *reader) {
    int16_t length = get_i16(reader);
    if (length > 0) skip(reader, length);
}

int connect_to(const char *bootstrap, int receive_buffer_bytes) {
    char host[256];
    const char *colon = strrchr(bootstrap, ':');
    if (!colon || (size_t)(colon - bootstrap) >= sizeof host) die("%s: expected host:port", bootstrap);
    snprintf(host, sizeof host, "%.*s", (int)(colon - bootstrap), bootstrap);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) die("%s: unknown host", bootstrap);
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket: %s", strerror(errno));
    if (receive_buffer_bytes) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct timeval limit = {60, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, found->ai_addr, found->ai_addrlen) != 0) die("%s: %s", bootstrap, strerror(errno));
    freeaddrinfo(found);
    return fd;
}

void send_all(int fd, const void *bytes, size_t size) {
    for (size_t sent = 0; sent < size;) {
        ssize_t done = send(fd, (const uint8_t *)bytes + sent, size - sent, MSG_NOSIGNAL);
        if (done <= 0) die("send: %s", strerror(errno));
        sent += done;
    }
}

void receive_all(int fd, void *bytes, size_t size) {
    for (size_t received = 0; received < size;) {
        ssize_t done = recv(fd, (uint8_t *)bytes + received, size - received, 0);
        if (done <= 0) die("receive: %s", done == 0 ? "the broker closed the connection" : strerror(errno));
        received += done;
    }
}

reader_t receive_frame(int fd, buffer_t *into) {
    uint8_t head[8];
    receive_all(fd, head, sizeof head);
    reader_t start = {head, head + 8, false};
    int32_t size = get_i32(&start) - 4;
    if (size < 0) die("a frame of %d bytes", size);
    into->length = 0;
    buffer_room(into, size);
    receive_all(fd, into->bytes, size);
    return (reader_t){into->bytes, into->bytes + size, false};
}

reader_t call(int fd, const buffer_t *request, buffer_t *response) {
    send_all(fd, request->bytes, request->length);
    return receive_frame(fd, response);
}

/* Metadata, version 4. True if all partitions of the topics have leaders. */
static bool have_leaders(int fd, const places_t *places, int first, int count) {
    buffer_t request = {0}, response = {0};
    request_begin(&request, 3, 4, 0);
    put_i32(&request, count);
    for (int i = first; i < first + count; i++) put_text(&request, places->names[i]);
    put_i8(&request, 1);
    request_end(&request, 0);
    reader_t reader = call(fd, &request, &response);
    skip(&reader, 4);
    for (int brokers = get_i32(&reader); brokers > 0 && !reader.bad; brokers--) {
        skip(&reader, 4);
        skip_text(&reader);
        skip(&reader, 4);
        skip_text(&reader);
    }
    skip_text(&reader);
    skip(&reader, 4);
    bool all = true;
    for (int topics = get_i32(&reader); topics > 0 && !reader.bad; topics--) {
        all = get_i16(&reader) == 0 && all;
        skip_text(&reader);
        skip(&reader, 1);
        int partitions = get_i32(&reader);
        all = partitions >= places->partitions && all;
        for (; partitions > 0 && !reader.bad; partitions--) {
            all = get_i16(&reader) == 0 && all;
            skip(&reader, 4);
            all = get_i32(&reader) >= 0 && all;
            skip(&reader, get_i32(&reader) * 4LL);
            skip(&reader, get_i32(&reader) * 4LL);
        }
    }
    if (reader.bad) die("a Metadata response that does not parse");
    free(request.bytes);
    free(response.bytes);
    return all;
}

void wait_for_places(int fd, const places_t *places) {
    for (int64_t until = now_ns() + 10 * GIGA; !have_leaders(fd, places, 0, places->topics); sleep_ns(GIGA / 20))
        if (now_ns() > until) die("%s: no leaders for %d partitions", places->names[0], places->partitions);
}

int64_t list_offset(int fd, const char *topic, int partition, int64_t timestamp) {
    buffer_t request = {0}, response = {0};
    request_begin(&request, 2, 1, 0);
    put_i32(&request, -1);
    put_i32(&request, 1);
    put_text(&request, topic);
    put_i32(&request, 1);
    put_i32(&request, partition);
    put_i64(&request, timestamp);
    request_end(&request, 0);
    reader_t reader = call(fd, &request, &response);
    skip(&reader, 4);
    skip_text(&reader);
    skip(&reader, 8);
    int error = get_i16(&reader);
    skip(&reader, 8);
    int64_t offset = get_i64(&reader);
    if (reader.bad || error) die("ListOffsets of %s %d: error %d", topic, partition, error);
    free(request.bytes);
    free(response.bytes);
    return offset;
}

static uint32_t crc32c(const uint8_t *bytes, size_t size) {
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static void put_record(buffer_t *buffer, int number, const uint8_t *value, size_t size) {
    buffer_t body = {0};
    put_i8(&body, 0);
    put_varint(&body, 0);
    put_varint(&body, number);
    put_varint(&body, -1);
    put_varint(&body, (int64_t)size);
    put(&body, value, size);
    put_varint(&body, 0);
    put_varint(buffer, (int64_t)body.length);
    put(buffer, body.bytes, body.length);
    free(body.bytes);
}

buffer_t record_batch(size_t batch_bytes, size_t record_bytes, int *records) {
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    int64_t stamp = wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    buffer_t batch = {0};
    put_i64(&batch, 0);
    put_i32(&batch, 0); /* length, set below */
    put_i32(&batch, -1);
    put_i8(&batch, 2);
    put_i32(&batch, 0); /* checksum, set below */
    put_i16(&batch, 0);
    put_i32(&batch, 0); /* last offset delta, set below */
    put_i64(&batch, stamp);
    put_i64(&batch, stamp);
    put_i64(&batch, -1);
    put_i16(&batch, -1);
    put_i32(&batch, -1);
    put_i32(&batch, 0); /* number of records, set below */
    int count = (int)(batch_bytes / (record_bytes + 12));
    if (count < 1) count = 1;
    uint8_t *values = malloc(record_bytes * count);
    fill_random(values, record_bytes * count);
    for (int i = 0; i < count; i++) put_record(&batch, i, values + i * record_bytes, record_bytes);
    free(values);
    patch_i32(batch.bytes + 8, (int32_t)batch.length - 12);
    patch_i32(batch.bytes + 23, count - 1);
    patch_i32(batch.bytes + 57, count);
    patch_i32(batch.bytes + 17, (int32_t)crc32c(batch.bytes + 21, batch.length - 21));
    *records = count;
    return batch;
}
