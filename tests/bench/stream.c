/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Streams between a guest and its host, for `make bench`; runs at both ends.
 *
 *   stream serve ADDRESS          serves one connection after the other
 *   stream ping ADDRESS COUNT     sends one byte and waits for it, COUNT times;
 *                                 prints the median in microseconds
 *   stream send ADDRESS MIB       sends so much to whom serves there
 *   stream receive ADDRESS MIB    the same in the other direction
 *
 * Both print MB/s (10^6) from before the connection was made until the receiver
 * had all, and compare the sender's and the receiver's checksum of it.
 * ADDRESS: tcp:IP:PORT, unix:PATH or vsock:CID:PORT (CID -1: any, to serve).
 * Exits 1 and says why when something goes wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_BYTES (64u << 10)
#define MIB         (UINT64_C(1) << 20)

struct request {
    char op; /* p: give back each byte, s: to the server, r: from the server */
    uint64_t bytes;
};

/* Fletcher's sums, of 64-bit words: an order that changes is noticed. */
struct sum {
    uint64_t a, b;
};

__attribute__((format(printf, 1, 2), noreturn)) static void
die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("stream: ", stderr);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, " (%s)\n", strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- addresses ------------------------------------------------------------
 */

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_un un;
    struct sockaddr_vm vm;
};

static socklen_t parse(const char *text, union address *address)
{
    char ip[64];
    unsigned port;
    int cid;

    memset(address, 0, sizeof(*address));
    if (sscanf(text, "tcp:%63[0-9.]:%u", ip, &port) == 2) {
        address->in.sin_family = AF_INET;
        address->in.sin_port = htons((uint16_t)port);
        if (inet_pton(AF_INET, ip, &address->in.sin_addr) == 1)
            return sizeof(address->in);
    } else if (strncmp(text, "unix:", 5) == 0) {
        address->un.sun_family = AF_UNIX;
        strncpy(address->un.sun_path, text + 5,
                sizeof(address->un.sun_path) - 1);
        return sizeof(address->un);
    } else if (sscanf(text, "vsock:%d:%u", &cid, &port) == 2) {
        address->vm.svm_family = AF_VSOCK;
        address->vm.svm_cid = (unsigned)cid;
        address->vm.svm_port = port;
        return sizeof(address->vm);
    }
    errno = EINVAL;
    die("%s", text);
}

static int dial(const char *text)
{
    union address to;
    socklen_t len = parse(text, &to);
    int one = 1, fd = socket(to.any.sa_family, SOCK_STREAM, 0);

    if (fd < 0 || connect(fd, &to.any, len) < 0)
        die("%s", text);
    if (to.any.sa_family == AF_INET)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

/* ---- bytes ----------------------------------------------------------------
 */

static bool put(int fd, const void *bytes, size_t len)
{
    const char *from = bytes;

    while (len) {
        ssize_t sent = send(fd, from, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        from += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool get(int fd, void *bytes, size_t len)
{
    return len == 0 || recv(fd, bytes, len, MSG_WAITALL) == (ssize_t)len;
}

static void add(struct sum *sum, const uint64_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sum->a += words[i];
        sum->b += sum->a;
    }
}

/* Chunks that differ by their first word, then the sum of all. */
static bool send_all(int fd, uint64_t bytes)
{
    static uint64_t chunk[CHUNK_BYTES / sizeof(uint64_t)];
    struct sum sum = {0, 0};

    for (size_t i = 0; i < sizeof(chunk) / sizeof(*chunk); i++)
        chunk[i] = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    for (uint64_t at = 0; at < bytes; at += CHUNK_BYTES) {
        chunk[0] = at;
        add(&sum, chunk, sizeof(chunk) / sizeof(*chunk));
        if (!put(fd, chunk, sizeof(chunk)))
            return false;
    }
    return put(fd, &sum, sizeof(sum));
}

static bool receive_all(int fd, uint64_t bytes)
{
    static uint64_t chunk[CHUNK_BYTES / sizeof(uint64_t)];
    struct sum sum = {0, 0}, senders;

    for (uint64_t at = 0; at < bytes; at += CHUNK_BYTES) {
        if (!get(fd, chunk, sizeof(chunk)))
            return false;
        add(&sum, chunk, sizeof(chunk) / sizeof(*chunk));
    }
    if (!get(fd, &senders, sizeof(senders)))
        return false;
    errno = EBADMSG;
    return sum.a == senders.a && sum.b == senders.b;
}

/* ---- the one who serves ---------------------------------------------------
 */

static void echo(int fd)
{
    char byte;

    while (get(fd, &byte, 1) && put(fd, &byte, 1))
        ;
}

static void serve_one(int fd)
{
    struct request request;
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (!get(fd, &request, sizeof(request)))
        return;
    if (request.op == 'p')
        echo(fd);
    else if (request.op == 'r')
        send_all(fd, request.bytes);
    else if (receive_all(fd, request.bytes))
        put(fd, "k", 1);
}

static void serve(const char *text)
{
    union address at;
    socklen_t len = parse(text, &at);
    int one = 1, listener = socket(at.any.sa_family, SOCK_STREAM, 0);

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (listener < 0 || bind(listener, &at.any, len) < 0 ||
        listen(listener, 16) < 0)
        die("%s", text);
    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0)
            die("accept");
        serve_one(fd);
        close(fd);
    }
}

/* ---- the one who measures -------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static void ping(const char *text, unsigned count)
{
    const struct request request = {.op = 'p'};
    double *times = calloc(count + 1, sizeof(*times));
    int fd = dial(text);
    char byte = 0;

    if (!times || !put(fd, &request, sizeof(request)))
        die("%s", text);
    for (unsigned i = 0; i < count; i++) {
        double begin = now();

        if (!put(fd, &byte, 1) || !get(fd, &byte, 1))
            die("%s: message %u", text, i);
        times[i] = now() - begin;
    }
    qsort(times, count, sizeof(*times), compare);
    printf("%.1f\n", times[count / 2] * 1e6);
}

static void transfer(char op, const char *text, uint64_t mib)
{
    const struct request request = {op, mib * MIB};
    double begin = now();
    int fd = dial(text);
    char answer;

    if (!put(fd, &request, sizeof(request)) ||
        !(op == 'r' ? receive_all(fd, request.bytes)
                    : send_all(fd, request.bytes) && get(fd, &answer, 1)))
        die("%s: transfer", text);
    printf("%.1f\n", (double)request.bytes / 1e6 / (now() - begin));
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[1] : "";
    unsigned long number = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;

    if (strcmp(verb, "serve") == 0) {
        serve(argv[2]);
    } else if (number && strcmp(verb, "ping") == 0) {
        ping(argv[2], (unsigned)number);
    } else if (number && (!strcmp(verb, "send") || !strcmp(verb, "receive"))) {
        transfer(verb[0], argv[2], number);
    } else {
        fputs("usage: stream serve|ping|send|receive ADDRESS [NUMBER]\n",
              stderr);
        return 2;
    }
    return 0;
}
