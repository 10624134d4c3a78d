/* idle: connections that do little, held open until standard input ends or `seconds` are over. Prints its line as soon as
 * all of them are in place, so that the caller can look at the broker's memory meanwhile.
 *
 * plain=N     only connected
 * longpoll=N  a Fetch at the end of a partition that waits `wait` milliseconds, renewed when it is answered
 * mute=N      `pipeline` Fetch requests from the beginning of all partitions, whose answers are never read */
#include "client.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static struct {
    places_t places;
    int wait_ms, max_bytes;
} idle;

static void write_fetch(buffer_t *request, int first, int count, const int64_t *offsets, int min_bytes) {
    request_begin(request, 1, 4, 0);
    put_i32(request, -1);
    put_i32(request, idle.wait_ms);
    put_i32(request, min_bytes);
    put_i32(request, idle.max_bytes);
    put_i8(request, 0);
    put_i32(request, count);
    for (int i = 0; i < count; i++) {
        int place = (first + i) % idle.places.count;
        put_text(request, place_topic(&idle.places, place));
        put_i32(request, 1);
        put_i32(request, place_partition(&idle.places, place));
        put_i64(request, offsets ? offsets[place] : 0);
        put_i32(request, idle.max_bytes);
    }
    request_end(request, 0);
}

/* Answers long polls that came back, until there is nothing left to wait for. Returns how many connections were closed. */
static int hold(struct pollfd *watched, int count, int longpolls, const int64_t *ends, int64_t until) {
    buffer_t request = {0}, response = {0};
    int closed = 0;
    while (now_ns() < until) {
        if (poll(watched, count, 200) <= 0) continue;
        if (watched[0].revents) break;
        for (int i = 1; i < count; i++) {
            if (!watched[i].revents) continue;
            if (watched[i].revents & (POLLHUP | POLLERR) || i > longpolls) {
                closed++;
                watched[i].fd = -1;
                continue;
            }
            receive_frame(watched[i].fd, &response);
            write_fetch(&request, i, 1, ends, 1);
            send_all(watched[i].fd, request.bytes, request.length);
        }
    }
    return closed;
}

int command_idle(const char *bootstrap, const char *topic) {
    idle.places = places_from_options(topic);
    int plain = (int)option_number("plain", 0), longpolls = (int)option_number("longpoll", 0), mute = (int)option_number("mute", 0);
    int pipeline = (int)option_number("pipeline", 4);
    idle.wait_ms = (int)option_number("wait", 30000);
    idle.max_bytes = (int)option_number("max", 50 << 20);
    double seconds = option_number("seconds", 30);
    options_end();
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int fd = connect_to(bootstrap, 0);
    wait_for_places(fd, &idle.places);
    int64_t *ends = calloc(idle.places.count, sizeof *ends);
    for (int i = 0; i < idle.places.count && longpolls > 0; i++)
        ends[i] = list_offset(fd, place_topic(&idle.places, i), place_partition(&idle.places, i), -1);
    /* First standard input, then those that are to be read, then those whose end alone is of interest. */
    struct pollfd *watched = calloc(1 + longpolls + plain + mute, sizeof *watched);
    buffer_t request = {0};
    int count = 0;
    watched[count++] = (struct pollfd){.fd = 0, .events = POLLIN};
    for (int i = 0; i < longpolls; i++) {
        int each = connect_to(bootstrap, 0);
        write_fetch(&request, i, 1, ends, 1);
        send_all(each, request.bytes, request.length);
        watched[count++] = (struct pollfd){.fd = each, .events = POLLIN};
    }
    for (int i = 0; i < plain + mute; i++) {
        bool is_mute = i >= plain;
        int each = connect_to(bootstrap, is_mute ? 4096 : 0);
        for (int n = 0; is_mute && n < pipeline; n++) {
            write_fetch(&request, i, idle.places.count, NULL, 1);
            send_all(each, request.bytes, request.length);
        }
        watched[count++] = (struct pollfd){.fd = each, .events = POLLRDHUP};
    }
    printf("{\"plain\": %d, \"longpoll\": %d, \"mute\": %d, \"ready\": true}\n", plain, longpolls, mute);
    fflush(stdout);
    int closed = hold(watched, count, longpolls, ends, now_ns() + (int64_t)(seconds * GIGA));
    fprintf(stderr, "closed by the broker: %d\n", closed);
    return 0;
}
