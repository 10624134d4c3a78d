/* get: reads the objects of standard input, lines of URL SIZE, by ranges, and throws them away: what the store itself can give
 * to one reader. http: with libcurl, `inflight` ranges at a time on kept connections. file: read(2) into one buffer. */
#include "client.h"
#include <curl/curl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    char *url;
    int64_t first, last;
} part_t;

static part_t *parts;
static int part_count, part_next;
static int64_t received, failed;

static void read_parts(int64_t chunk) {
    static char line[8192];
    int capacity = 0;
    while (fgets(line, sizeof line, stdin)) {
        char *space = strrchr(line, ' ');
        if (!space) die("%s: expected URL SIZE", line);
        *space = 0;
        int64_t size = atoll(space + 1);
        char *url = strdup(line);
        for (int64_t at = 0; at < size; at += chunk) {
            if (part_count == capacity) parts = realloc(parts, (capacity = capacity * 2 + 1024) * sizeof *parts);
            parts[part_count++] = (part_t){url, at, (at + chunk < size ? at + chunk : size) - 1};
        }
    }
}

static size_t discard(char *bytes, size_t one, size_t count, void *state) {
    (void)bytes, (void)one, (void)state;
    received += (int64_t)count;
    return count;
}

static bool start_next(CURLM *multi, CURL *easy) {
    if (part_next == part_count) return false;
    part_t *part = &parts[part_next++];
    char range[64];
    snprintf(range, sizeof range, "%lld-%lld", (long long)part->first, (long long)part->last);
    curl_easy_setopt(easy, CURLOPT_URL, part->url);
    curl_easy_setopt(easy, CURLOPT_RANGE, range);
    curl_multi_add_handle(multi, easy);
    return true;
}

static void get_http(int inflight) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *multi = curl_multi_init();
    for (int i = 0; i < inflight; i++) {
        CURL *easy = curl_easy_init();
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 512L << 10);
        curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
        if (!start_next(multi, easy)) break;
    }
    for (int running = 1; running;) {
        curl_multi_perform(multi, &running);
        int left;
        for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
            if (message->msg != CURLMSG_DONE) continue;
            if (message->data.result != CURLE_OK && !failed++) fprintf(stderr, "%s\n", curl_easy_strerror(message->data.result));
            CURL *easy = message->easy_handle;
            curl_multi_remove_handle(multi, easy);
            if (start_next(multi, easy)) running = 1;
        }
        if (running) curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
}

static void get_files(int64_t chunk) {
    uint8_t *buffer = malloc(chunk);
    for (; part_next < part_count; part_next++) {
        part_t *part = &parts[part_next];
        int fd = open(part->url + strlen("file://"), O_RDONLY);
        int64_t size = part->last - part->first + 1;
        ssize_t done = fd < 0 ? -1 : pread(fd, buffer, size, part->first);
        if (done == size) received += done;
        else failed++;
        if (fd >= 0) close(fd);
    }
    free(buffer);
}

int command_get(void) {
    int64_t chunk = (int64_t)option_number("chunk", 4 << 20);
    int inflight = (int)option_number("inflight", 8);
    options_end();
    read_parts(chunk);
    int64_t expected = 0;
    for (int i = 0; i < part_count; i++) expected += parts[i].last - parts[i].first + 1;
    int64_t started = now_ns();
    if (part_count > 0 && strncmp(parts[0].url, "file://", 7) == 0) get_files(chunk);
    else get_http(inflight);
    double took = (now_ns() - started) / 1e9;
    printf("{\"ranges\": %d, \"failed\": %lld, \"bytes\": %lld, \"seconds\": %.3f, \"mb_per_second\": %.2f, \"cpu_seconds\": %.3f}\n",
           part_count, (long long)failed, (long long)received, took, received / 1e6 / took, cpu_seconds());
    return failed > 0 || received != expected;
}
