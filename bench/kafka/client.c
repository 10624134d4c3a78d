/* The client of the bench. See README.md beside it for the commands and their options. */
#include "client.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: bench-client produce|raw|e2e|consume|rawfetch|idle HOST:PORT TOPIC [name=value ...]\n"
    "       bench-client get [name=value ...] < lines of URL SIZE\n";

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(const char *, const char *);
    } commands[] = {
        {"produce", command_produce}, {"raw", command_raw},           {"e2e", command_e2e},
        {"consume", command_consume}, {"rawfetch", command_rawfetch}, {"idle", command_idle},
    };
    signal(SIGPIPE, SIG_IGN);
    if (argc >= 2 && strcmp(argv[1], "get") == 0) {
        options_begin(argc - 2, argv + 2);
        return command_get();
    }
    for (size_t i = 0; argc >= 4 && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) != 0) continue;
        options_begin(argc - 4, argv + 4);
        return commands[i].run(argv[2], argv[3]);
    }
    fputs(usage, stderr);
    return 2;
}
