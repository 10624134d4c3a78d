/* What the commands of the bench client share. One command, one file; each prints one JSON line. */
#pragma once
#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- support.c --- */

#define GIGA 1000000000LL

int64_t now_ns(void);
double cpu_seconds(void);
void sleep_ns(int64_t ns);
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Options are name=value arguments. Names with a dot are librdkafka's; others that no command asked for are refused. */
void options_begin(int argc, char **argv);
const char *option_text(const char *name, const char *standard);
double option_number(const char *name, double standard);
void options_end(void);
/* Calls `set` with each name and value of librdkafka. */
void options_of_librdkafka(void (*set)(void *, const char *, const char *), void *state);

/* Microseconds, log-linear: 128 buckets for each power of two, so a percentile is at most 0.8% too high. */
#define HISTOGRAM_BUCKETS (58 * 128)
typedef struct {
    int64_t counts[HISTOGRAM_BUCKETS], count, max_us;
} histogram_t;
void histogram_add(histogram_t *histogram, int64_t us);
void histogram_merge(histogram_t *into, const histogram_t *from);
/* Prints "name": {"count": ..., "p50_us": ..., ...} without a comma. */
void histogram_print(const char *name, const histogram_t *histogram);

/* The partitions that a command works on: `topics` topics (TOPIC itself if 1, else TOPIC-0, TOPIC-1 ...) of `partitions`. */
typedef struct {
    int topics, partitions, count;
    char **names;
} places_t;
places_t places_from_options(const char *topic);
static inline const char *place_topic(const places_t *places, int place) { return places->names[place / places->partitions]; }
static inline int place_partition(const places_t *places, int place) { return place % places->partitions; }

/* Bytes that do not repeat within any compressor's window. */
void fill_random(uint8_t *bytes, size_t size);

/* --- wire.c: as much of the Kafka protocol as is needed without librdkafka --- */

typedef struct {
    uint8_t *bytes;
    size_t length, capacity;
} buffer_t;
void buffer_room(buffer_t *buffer, size_t more);
void put_i8(buffer_t *buffer, int8_t value);
void put_i16(buffer_t *buffer, int16_t value);
void put_i32(buffer_t *buffer, int32_t value);
void put_i64(buffer_t *buffer, int64_t value);
void put_text(buffer_t *buffer, const char *text);
void patch_i32(uint8_t *at, int32_t value);
/* Starts a frame with a request header (version 1); `request_end` sets its size, `extra` bytes to come included. */
void request_begin(buffer_t *buffer, int16_t api, int16_t version, int32_t correlation);
void request_end(buffer_t *buffer, size_t extra);

typedef struct {
    const uint8_t *at, *end;
    bool bad;
} reader_t;
int16_t get_i16(reader_t *reader);
int32_t get_i32(reader_t *reader);
int64_t get_i64(reader_t *reader);
void skip(reader_t *reader, int64_t bytes);
void skip_text(reader_t *reader);

int connect_to(const char *bootstrap, int receive_buffer_bytes);
void send_all(int fd, const void *bytes, size_t size);
void receive_all(int fd, void *bytes, size_t size);
/* One frame without its size; returns a reader behind the correlation id. */
reader_t receive_frame(int fd, buffer_t *into);
reader_t call(int fd, const buffer_t *request, buffer_t *response);

/* Returns once every place has a leader; a broker that creates topics by itself is made to. */
void wait_for_places(int fd, const places_t *places);
/* -1: where the next record would go; -2: the first record. */
int64_t list_offset(int fd, const char *topic, int partition, int64_t timestamp);
/* A record batch (magic 2) of `*records` records with random values of `record_bytes`, at most about `batch_bytes`. */
buffer_t record_batch(size_t batch_bytes, size_t record_bytes, int *records);

/* --- commands --- */

int command_produce(const char *bootstrap, const char *topic);
int command_raw(const char *bootstrap, const char *topic);
int command_e2e(const char *bootstrap, const char *topic);
int command_consume(const char *bootstrap, const char *topic);
int command_rawfetch(const char *bootstrap, const char *topic);
int command_idle(const char *bootstrap, const char *topic);
int command_get(void);
