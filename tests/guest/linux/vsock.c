/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * A program for Linux guests: stream sockets of AF_VSOCK.
 *
 *   vsock echo PORT             gives each connection back what it sends, then
 *                               closes; serves them all at once
 *   vsock sum PORT              the same, but reads to the end and answers with
 *                               the number of bytes and their sum, "1234
 * 0abc\n" vsock send PORT SEED BYTES  listens, sends a pattern to whom it
 * accepts vsock mute PORT             accepts one connection and does nothing
 *   vsock dial PORT COUNT BYTES connects COUNT times to the host (CID 2), sends
 *                               a pattern over all of them at once, closes its
 *                               direction, and expects it back; prints "ok" or
 *                               what went wrong
 *   vsock try CID PORT          connects; prints "connected" or why not, then
 *                               waits for the end
 *
 * The pattern of a seed: byte i is the high byte of (seed + i) * 40503, 16
 * bits. A sum is that of Fletcher-16 with modulus 255 over all bytes.
 */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CHUNK 65536

static int die(const char *what)
{
    fprintf(stderr, "vsock: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_vm address(unsigned cid, unsigned port)
{
    return (struct sockaddr_vm){
        .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
}

static int listen_on(unsigned port)
{
    struct sockaddr_vm at = address(VMADDR_CID_ANY, port);
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
        listen(fd, 128) < 0)
        die("listen");
    printf("listening\n");
    fflush(stdout);
    return fd;
}

static int accept_on(int listener)
{
    int fd = accept(listener, NULL, NULL);

    if (fd < 0)
        die("accept");
    return fd;
}

/* Linux gives up after 2 s, which a busy host may need. */
static int dial(unsigned cid, unsigned port)
{
    const struct timeval patience = {.tv_sec = 60};
    struct sockaddr_vm to = address(cid, port);
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

    if (fd < 0 || setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT,
                             &patience, sizeof(patience)) < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static uint8_t pattern(uint32_t seed, uint64_t i)
{
    return (uint8_t)((uint16_t)((seed + i) * 40503) >> 8);
}

static void write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len) {
        ssize_t sent = write(fd, bytes, len);

        if (sent < 0)
            die("write");
        bytes += sent;
        len -= (size_t)sent;
    }
}

/* ---- one connection each: run in a process of its own ---- */

static void echo(int fd)
{
    static uint8_t bytes[CHUNK];
    ssize_t got;

    while ((got = read(fd, bytes, sizeof(bytes))) > 0)
        write_all(fd, bytes, (size_t)got);
    if (got < 0)
        die("read");
}

static void sum(int fd)
{
    static uint8_t bytes[CHUNK];
    uint32_t a = 0, b = 0;
    uint64_t count = 0;
    ssize_t got;

    while ((got = read(fd, bytes, sizeof(bytes))) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            a = (a + bytes[i]) % 255;
            b = (b + a) % 255;
        }
        count += (uint64_t)got;
    }
    dprintf(fd, "%llu %04x\n", (unsigned long long)count, b << 8 | a);
}

static void serve(int listener, void (*handle)(int fd))
{
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept_on(listener);

        if (fork() == 0) {
            close(listener);
            handle(fd);
            exit(0);
        }
        close(fd);
    }
}

static void send_pattern(int fd, uint32_t seed, uint64_t bytes)
{
    static uint8_t chunk[CHUNK];

    for (uint64_t done = 0; done < bytes;) {
        uint64_t len = bytes - done < CHUNK ? bytes - done : CHUNK;

        for (uint64_t i = 0; i < len; i++)
            chunk[i] = pattern(seed, done + i);
        write_all(fd, chunk, len);
        done += len;
    }
}

/* ---- many connections at once ---- */

struct flow {
    int fd;
    uint32_t seed;
    uint64_t sent, got;
};

static const char *push(struct flow *flow, uint64_t bytes)
{
    static uint8_t chunk[CHUNK];
    uint64_t len = bytes - flow->sent;

    if (len > CHUNK)
        len = CHUNK;
    for (uint64_t i = 0; i < len; i++)
        chunk[i] = pattern(flow->seed, flow->sent + i);
    ssize_t sent = send(flow->fd, chunk, len, MSG_DONTWAIT);
    if (sent < 0)
        return errno == EAGAIN ? NULL : "send";
    flow->sent += (uint64_t)sent;
    if (flow->sent == bytes && shutdown(flow->fd, SHUT_WR) < 0)
        return "shutdown";
    return NULL;
}

/* "": at its end */
static const char *pull(struct flow *flow)
{
    static uint8_t chunk[CHUNK];
    ssize_t got = recv(flow->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

    if (got < 0)
        return errno == EAGAIN ? NULL : "recv";
    if (got == 0)
        return "";
    for (ssize_t i = 0; i < got; i++)
        if (chunk[i] != pattern(flow->seed, flow->got + (uint64_t)i))
            return "another byte than was sent";
    flow->got += (uint64_t)got;
    return NULL;
}

static void exchange(unsigned port, unsigned count, uint64_t bytes)
{
    struct flow *flows = calloc(count, sizeof(*flows));
    struct pollfd *polls = calloc(count, sizeof(*polls));
    unsigned open = count;

    for (unsigned i = 0; i < count; i++) {
        flows[i] = (struct flow){.fd = dial(VMADDR_CID_HOST, port), .seed = i};
        if (flows[i].fd < 0)
            die("connect");
        polls[i] =
            (struct pollfd){.fd = flows[i].fd, .events = POLLIN | POLLOUT};
    }
    while (open) {
        if (poll(polls, count, -1) < 0)
            die("poll");
        for (unsigned i = 0; i < count; i++) {
            const char *wrong = NULL;

            if (polls[i].revents & POLLOUT && flows[i].sent < bytes)
                wrong = push(&flows[i], bytes);
            if (flows[i].sent == bytes)
                polls[i].events = POLLIN;
            if (!wrong && polls[i].revents & (POLLIN | POLLHUP | POLLERR))
                wrong = pull(&flows[i]);
            if (!wrong)
                continue;
            if (*wrong || flows[i].got != bytes)
                die(*wrong ? wrong : "fewer bytes than were sent");
            polls[i].fd = -1;
            close(flows[i].fd);
            open--;
        }
    }
    printf("ok\n");
}

static void try(unsigned cid, unsigned port)
{
    char byte;
    int fd = dial(cid, port);

    printf("%s\n", fd < 0 ? strerror(errno) : "connected");
    fflush(stdout);
    while (fd >= 0 && read(fd, &byte, 1) > 0)
        ;
}

int main(int argc, char **argv)
{
    unsigned long long n[3] = {0};

    for (int i = 2; i < argc && i < 5; i++)
        n[i - 2] = strtoull(argv[i], NULL, 0);
    const char *what = argc > 2 ? argv[1] : "";
    unsigned port = (unsigned)n[0];
    if (strcmp(what, "echo") == 0)
        serve(listen_on(port), echo);
    else if (strcmp(what, "sum") == 0)
        serve(listen_on(port), sum);
    else if (strcmp(what, "send") == 0)
        send_pattern(accept_on(listen_on(port)), (uint32_t)n[1], n[2]);
    else if (strcmp(what, "mute") == 0 && accept_on(listen_on(port)) >= 0)
        pause();
    else if (strcmp(what, "dial") == 0)
        exchange(port, (unsigned)n[1], n[2]);
    else if (strcmp(what, "try") == 0)
        try(port, (unsigned)n[1]);
    else
        return fputs("usage: see tests/guest/linux/vsock.c\n", stderr), 2;
    return 0;
}
