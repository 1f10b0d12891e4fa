/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Runs a command and says how soon it wrote something, for `make bench`:
 *
 *   launch TEXT SECONDS COMMAND [ARGUMENT...]
 *
 * Prints the microseconds from just before COMMAND was started until TEXT had
 * appeared on its stdout, ends COMMAND and exits 0.  When that did not happen
 * within SECONDS, or COMMAND ended without it, prints what it wrote to stderr
 * and exits 1.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_BYTES (4u << 20)

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void die(const char *what, int error)
{
    fprintf(stderr, "launch: %s: %s\n", what, strerror(error));
    exit(1);
}

/* Start argv with stdin empty and stdout a pipe, whose other end is returned.
 * A process group of its own lets us end what it has started as well. */
static int start(char **argv, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int ends[2];
    int error;

    if (pipe(ends) < 0)
        die("pipe", errno);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", 0, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    error = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environ);
    if (error)
        die(argv[0], error);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    return ends[0];
}

/* Read until text has come; its time, or 0 when output or patience end. */
static uint64_t await(int fd, const char *text, uint64_t deadline, char *output)
{
    size_t used = 0;

    for (;;) {
        uint64_t now = now_ns();
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ssize_t got;

        if (now >= deadline || used == OUTPUT_BYTES - 1 ||
            poll(&ready, 1, (int)((deadline - now) / 1000000) + 1) <= 0)
            return 0;
        got = read(fd, output + used, OUTPUT_BYTES - 1 - used);
        if (got <= 0)
            return 0;
        now = now_ns();
        used += (size_t)got;
        output[used] = '\0';
        if (memmem(output, used, text, strlen(text)))
            return now;
    }
}

int main(int argc, char **argv)
{
    static char output[OUTPUT_BYTES];
    uint64_t begin, found, limit;
    pid_t pid;
    int fd;

    if (argc < 4) {
        fputs("usage: launch TEXT SECONDS COMMAND [ARGUMENT...]\n", stderr);
        return 2;
    }
    limit = strtoull(argv[2], NULL, 10) * 1000000000u;
    begin = now_ns();
    fd = start(argv + 3, &pid);
    found = await(fd, argv[1], begin + limit, output);
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
    if (!found) {
        fprintf(stderr, "launch: \"%s\" did not appear; there was:\n%s\n",
                argv[1], output);
        return 1;
    }
    printf("%.1f\n", (double)(found - begin) / 1e3);
    return 0;
}
