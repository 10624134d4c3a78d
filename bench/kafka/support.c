/* Clock, options, histogram. */
#include "client.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * GIGA + now.tv_nsec;
}

double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void sleep_ns(int64_t ns) {
    struct timespec pause = {ns / GIGA, ns % GIGA};
    if (ns > 0) nanosleep(&pause, NULL);
}

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

static char **options;
static int option_count;
static bool *is_used;

void options_begin(int argc, char **argv) {
    options = argv;
    option_count = argc;
    is_used = calloc(argc + 1, sizeof *is_used);
    for (int i = 0; i < argc; i++)
        if (!strchr(argv[i], '=')) die("%s: expected name=value", argv[i]);
}

const char *option_text(const char *name, const char *standard) {
    size_t length = strlen(name);
    for (int i = 0; i < option_count; i++) {
        if (strncmp(options[i], name, length) != 0 || options[i][length] != '=') continue;
        is_used[i] = true;
        standard = options[i] + length + 1;
    }
    return standard;
}

double option_number(const char *name, double standard) {
    const char *text = option_text(name, NULL);
    if (!text) return standard;
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || value < 0) die("%s=%s: expected a number", name, text);
    return value;
}

void options_end(void) {
    for (int i = 0; i < option_count; i++) {
        const char *dot = strchr(options[i], '.'), *equals = strchr(options[i], '=');
        if (!is_used[i] && !(dot && dot < equals)) die("%s: no such option", options[i]);
    }
}

void options_of_librdkafka(void (*set)(void *, const char *, const char *), void *state) {
    for (int i = 0; i < option_count; i++) {
        char *dot = strchr(options[i], '.'), *equals = strchr(options[i], '=');
        if (!dot || dot > equals) continue;
        char *name = strndup(options[i], equals - options[i]);
        set(state, name, equals + 1);
        free(name);
    }
}

void histogram_add(histogram_t *histogram, int64_t us) {
    if (us < 0) us = 0;
    int shift = us < 128 ? 0 : 63 - __builtin_clzll((uint64_t)us) - 7;
    histogram->counts[shift * 128 + (us >> shift)]++;
    histogram->count++;
    if (us > histogram->max_us) histogram->max_us = us;
}

void histogram_merge(histogram_t *into, const histogram_t *from) {
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) into->counts[i] += from->counts[i];
    into->count += from->count;
    if (from->max_us > into->max_us) into->max_us = from->max_us;
}

/* The upper end of the bucket in which the value of that rank lies. */
static int64_t percentile(const histogram_t *histogram, double share) {
    int64_t rank = (int64_t)(share * histogram->count), seen = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen <= rank) continue;
        int shift = i < 256 ? 0 : i / 128 - 1;
        int64_t top = (((int64_t)(i - shift * 128) + 1) << shift) - 1;
        return top < histogram->max_us ? top : histogram->max_us;
    }
    return histogram->max_us;
}

void histogram_print(const char *name, const histogram_t *histogram) {
    printf("\"%s\": {\"count\": %lld, \"p50_us\": %lld, \"p99_us\": %lld, \"p999_us\": %lld, \"max_us\": %lld}", name,
           (long long)histogram->count, (long long)percentile(histogram, 0.5), (long long)percentile(histogram, 0.99),
           (long long)percentile(histogram, 0.999), (long long)histogram->max_us);
}

places_t places_from_options(const char *topic) {
    places_t places = {.topics = (int)option_number("topics", 1), .partitions = (int)option_number("partitions", 1)};
    if (places.topics < 1 || places.partitions < 1) die("topics and partitions are at least 1");
    places.count = places.topics * places.partitions;
    places.names = calloc(places.topics, sizeof *places.names);
    for (int i = 0; i < places.topics; i++) {
        char name[256];
        snprintf(name, sizeof name, places.topics == 1 ? "%s" : "%s-%d", topic, i);
        places.names[i] = strdup(name);
    }
    return places;
}

void fill_random(uint8_t *bytes, size_t size) {
    uint64_t state = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < size; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes[i] = (uint8_t)(state >> 32);
    }
}
