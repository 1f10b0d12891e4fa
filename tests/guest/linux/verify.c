/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Writes a disk from several threads, past the page cache, and reads back what
 * each has written last: every sector says which it is, and how often it has
 * been written.
 *
 * usage: verify DEVICE THREADS SECTORS ROUNDS
 * Prints "ok", or the first sector that is not as it should be.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR      512
#define SECTORS_MAX 64 /* of one request */

struct stamp {
    uint64_t sector, times;
};

/* A thread has a part of the disk to itself. */
struct worker {
    pthread_t thread;
    int fd;
    uint64_t first, count; /* sectors */
    unsigned rounds;
    uint64_t random;
    uint32_t *times; /* of each of its sectors */
    char *bytes;     /* of a request; aligned */
    char error[128];
};

static uint64_t next(struct worker *w)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return w->random >> 33;
}

static void fill(struct worker *w, uint64_t sector, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct stamp stamp = {w->first + sector + i, ++w->times[sector + i]};

        for (size_t at = 0; at < SECTOR; at += sizeof(stamp))
            memcpy(w->bytes + i * SECTOR + at, &stamp, sizeof(stamp));
    }
}

static int check(struct worker *w, uint64_t sector, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const struct stamp wanted = {w->first + sector + i,
                                     w->times[sector + i]};

        if (wanted.times == 0)
            continue;
        for (size_t at = 0; at < SECTOR; at += sizeof(wanted)) {
            struct stamp found;

            memcpy(&found, w->bytes + i * SECTOR + at, sizeof(found));
            if (memcmp(&found, &wanted, sizeof(found)) == 0)
                continue;
            snprintf(w->error, sizeof(w->error),
                     "sector %llu, written %llu times, has %llu, %llu",
                     (unsigned long long)wanted.sector,
                     (unsigned long long)wanted.times,
                     (unsigned long long)found.sector,
                     (unsigned long long)found.times);
            return -1;
        }
    }
    return 0;
}

static int transfer(struct worker *w, int writes, uint64_t sector,
                    uint64_t count)
{
    off_t at = (off_t)((w->first + sector) * SECTOR);
    size_t len = count * SECTOR;
    ssize_t moved;

    if (writes)
        fill(w, sector, count);
    moved = writes ? pwrite(w->fd, w->bytes, len, at)
                   : pread(w->fd, w->bytes, len, at);
    if (moved != (ssize_t)len) {
        snprintf(w->error, sizeof(w->error), "%s of sector %llu: %s",
                 writes ? "write" : "read",
                 (unsigned long long)(w->first + sector), strerror(errno));
        return -1;
    }
    return writes ? 0 : check(w, sector, count);
}

static void *run(void *argument)
{
    struct worker *w = argument;

    for (unsigned i = 0; i < w->rounds; i++) {
        uint64_t sector = next(w) % w->count;
        uint64_t most = w->count - sector;
        uint64_t count =
            1 + next(w) % (most < SECTORS_MAX ? most : SECTORS_MAX);

        if (transfer(w, (int)(next(w) % 2), sector, count))
            return NULL;
        if (i % 64 == 0 && fdatasync(w->fd)) {
            snprintf(w->error, sizeof(w->error), "fdatasync: %s",
                     strerror(errno));
            return NULL;
        }
    }
    for (uint64_t sector = 0; sector < w->count; sector += SECTORS_MAX) {
        uint64_t most = w->count - sector;

        if (transfer(w, 0, sector, most < SECTORS_MAX ? most : SECTORS_MAX))
            return NULL;
    }
    return NULL;
}

/* On a CPU of its own, and so on the queue of that CPU. */
static int start(struct worker *w, unsigned index)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_attr_t attributes;
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(index % (unsigned)cpus, &set);
    w->times = calloc(w->count, sizeof(*w->times));
    if (!w->times ||
        posix_memalign((void **)&w->bytes, 4096, SECTORS_MAX * SECTOR) ||
        pthread_attr_init(&attributes) ||
        pthread_attr_setaffinity_np(&attributes, sizeof(set), &set))
        return -1;
    return pthread_create(&w->thread, &attributes, run, w);
}

int main(int argc, char **argv)
{
    static struct worker workers[16];

    if (argc != 5)
        return 2;
    unsigned threads = (unsigned)atoi(argv[2]);
    int fd = open(argv[1], O_RDWR | O_DIRECT);
    if (fd < 0 || threads < 1 || threads > 16) {
        perror(argv[1]);
        return 1;
    }
    for (unsigned i = 0; i < threads; i++) {
        uint64_t count = strtoull(argv[3], NULL, 10) / threads;

        workers[i] = (struct worker){.fd = fd,
                                     .first = i * count,
                                     .count = count,
                                     .rounds = (unsigned)atoi(argv[4]),
                                     .random = i};
        if (start(&workers[i], i)) {
            puts("a thread cannot be started");
            return 1;
        }
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
    for (unsigned i = 0; i < threads; i++) {
        if (workers[i].error[0]) {
            puts(workers[i].error);
            return 1;
        }
    }
    puts("ok");
    return 0;
}
