/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the socket device: the input is what a driver sends and offers, and
 * what host programs do meanwhile; in the end the device has to work.
 *
 * Input: records of 8 bytes: action, a (1 byte), b (2 bytes), c (4 bytes); see
 * the actions below.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "require.h"

#include "../unit/vsock_driver.h"

#define RECORD   8
#define PROGRAMS 6
#define PORTS    4

enum {
    PACKET,
    PACKET_AGAIN, /* so that there are more of them */
    OFFER,
    COLLECT,
    CONNECT,
    ACCEPT,
    WRITE,
    READ,
    SHUT,
    CLOSE,
    RESET,
    TELL,
    ACTIONS
};

struct record {
    uint8_t action, a;
    uint16_t b;
    uint32_t c;
};

struct fuzz {
    struct guest *guest;
    int listener;
    int programs[PROGRAMS];       /* -1: none */
    uint32_t forwarded[PORTS];    /* of the guest's ports */
    uint8_t outstanding[ENTRIES]; /* receive buffers that the device has */
    unsigned tx;                  /* transmit buffers that it has */
};

static void give_program(struct fuzz *fuzz, int fd)
{
    for (int i = 0; i < PROGRAMS; i++)
        if (fuzz->programs[i] < 0) {
            fuzz->programs[i] = fd;
            return;
        }
    close(fd);
}

static void send_packet(struct fuzz *fuzz, const struct record *r)
{
    struct guest *g = fuzz->guest;
    struct vmm_memory *memory = g->host.driver.memory;
    struct virtio_vsock_hdr hdr = header(g, r->a & 0x40 ? r->a : r->a % 9);
    uint32_t bytes = r->c % 8192, id, len;

    hdr.src_port = PORT + r->b % PORTS;
    hdr.fwd_cnt = r->b & 0x100 ? r->c : fuzz->forwarded[r->b % PORTS];
    hdr.buf_alloc = r->b & 0x200 ? r->c : BUFFER;
    hdr.flags = r->b >> 10 & 3;
    hdr.len = r->b & 0x1000 ? r->c : bytes;
    if (r->b & 4) /* a connection that the host has made */
        hdr.dst_port = (1u << 30) + (r->b >> 3 & 3);
    if (r->b & 0x4000)
        hdr.dst_cid = r->c;
    if (r->b & 0x8000)
        (r->c & 1 ? (hdr.src_cid = r->c >> 1) : (hdr.type = r->c >> 1 & 7));
    while (collect(g, TX, &id, &len))
        fuzz->tx--;
    if (fuzz->tx == ENTRIES)
        return;
    vmm_gpa_t at = r->b & 0x2000 ? RAM_END - bytes / 2 - HDR_BYTES : TX_AT;
    MUST(vmm_memory_write(memory, at, &hdr, HDR_BYTES));
    desc(g, TX, 0, at, (uint32_t)HDR_BYTES + bytes, 0, 0);
    offer(g, TX, 0);
    fuzz->tx++;
    kick(g, TX);
}

static void offer_buffers(struct fuzz *fuzz, const struct record *r)
{
    struct guest *g = fuzz->guest;

    for (uint16_t i = 0; i < ENTRIES; i++) {
        if (fuzz->outstanding[i] || !(r->b >> i & 1))
            continue;
        if (r->a & 1)
            desc(g, RX, i, r->c, r->c >> 8, VRING_DESC_F_WRITE, 0);
        else
            desc(g, RX, i, RX_AT + RX_BYTES * i,
                 r->a & 2 ? r->c % RX_BYTES : RX_BYTES, VRING_DESC_F_WRITE, 0);
        fuzz->outstanding[i] = 1;
        offer(g, RX, i);
    }
    kick(g, RX);
}

static void collect_buffers(struct fuzz *fuzz)
{
    struct guest *g = fuzz->guest;
    struct virtio_vsock_hdr hdr;
    uint32_t id, len;

    while (collect(g, RX, &id, &len)) {
        REQUIRE(id < ENTRIES && fuzz->outstanding[id]);
        fuzz->outstanding[id] = 0;
        REQUIRE(len == 0 || len >= HDR_BYTES);
        vmm_gpa_t at = RX_AT + RX_BYTES * id;
        if (len == 0 ||
            vmm_memory_read(g->host.driver.memory, at, &hdr, HDR_BYTES))
            continue;
        /* Of a connection whose counters are followed. */
        if (hdr.op == VIRTIO_VSOCK_OP_RW)
            fuzz->forwarded[hdr.dst_port % PORTS] += hdr.len;
        else if (hdr.op == VIRTIO_VSOCK_OP_RESPONSE ||
                 hdr.op == VIRTIO_VSOCK_OP_REQUEST)
            fuzz->forwarded[hdr.dst_port % PORTS] = 0;
    }
}

static void connect_program(struct fuzz *fuzz, const struct record *r)
{
    struct sockaddr_un address = unix_address(fuzz->guest->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    char line[32];

    snprintf(line, sizeof(line), r->b & 1 ? "CONNECT %u\nmore" : "CONNECT %u\n",
             r->b & 2 ? r->c : PORT + r->a % PORTS);
    if (connect(fd, (void *)&address, sizeof(address)) < 0 ||
        send(fd, line, r->b & 4 ? r->c % strlen(line) : strlen(line),
             MSG_NOSIGNAL) < 0)
        close(fd);
    else
        give_program(fuzz, fd);
}

static void use_program(struct fuzz *fuzz, const struct record *r)
{
    static char bytes[16384];
    int *fd = &fuzz->programs[r->a % PROGRAMS];

    if (*fd < 0)
        return;
    if (r->action % ACTIONS == WRITE)
        (void)!send(*fd, bytes, r->c % sizeof(bytes), MSG_NOSIGNAL);
    else if (r->action % ACTIONS == READ)
        (void)!read(*fd, bytes, r->c % sizeof(bytes));
    else if (r->action % ACTIONS == SHUT)
        shutdown(*fd, (int)(r->c % 3));
    else {
        close(*fd);
        *fd = -1;
    }
}

static void come_up_again(struct fuzz *fuzz)
{
    put(&fuzz->guest->host, VIRTIO_MMIO_STATUS, 0);
    serve(&fuzz->guest->host);
    come_up(fuzz->guest, 0);
    memset(fuzz->outstanding, 0, sizeof(fuzz->outstanding));
    fuzz->tx = 0;
}

static void step(struct fuzz *fuzz, const struct record *r)
{
    int fd;

    switch (r->action % ACTIONS) {
    case PACKET:
    case PACKET_AGAIN:
        send_packet(fuzz, r);
        break;
    case OFFER:
        offer_buffers(fuzz, r);
        break;
    case COLLECT:
        collect_buffers(fuzz);
        break;
    case CONNECT:
        connect_program(fuzz, r);
        break;
    case ACCEPT:
        fd = accept4(fuzz->listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd >= 0)
            give_program(fuzz, fd);
        break;
    case RESET:
        if (r->a % 4 == 0) /* not too often, or nothing else is reached */
            come_up_again(fuzz);
        break;
    case TELL:
        desc(fuzz->guest, EVENT, 0, TX_AT, r->a % 8, VRING_DESC_F_WRITE, 0);
        offer(fuzz->guest, EVENT, 0);
        if (r->a & 8)
            REQUIRE(vmm_virtio_vsock_reset(fuzz->guest->host.virtio) == 0);
        kick(fuzz->guest, EVENT);
        break;
    default:
        use_program(fuzz, r);
    }
    serve(&fuzz->guest->host);
}

/* A connection of the guest's, from the beginning. */
static void require_that_it_works(struct fuzz *fuzz)
{
    struct guest *g = fuzz->guest;
    int fd;

    while ((fd = accept(fuzz->listener, NULL, NULL)) >= 0)
        close(fd);
    put(&g->host, VIRTIO_MMIO_STATUS, 0);
    serve(&g->host);
    come_up(g, ENTRIES);
    /* Host programs that waited come first. */
    struct virtio_vsock_hdr hdr;
    while (next_packet(g, &hdr, NULL))
        ;
    send_op(g, VIRTIO_VSOCK_OP_REQUEST, 0);
    expect_op(g, VIRTIO_VSOCK_OP_RESPONSE);
    fd = host_accept(fuzz->listener);
    send_data(g, "ping", 4);
    host_expect(fd, "ping");
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {.guest = guest_new()};
    struct record record;

    fuzz.listener = host_listen(fuzz.guest);
    for (int i = 0; i < PROGRAMS; i++)
        fuzz.programs[i] = -1;
    come_up(fuzz.guest, 0);
    for (; size >= RECORD; data += RECORD, size -= RECORD) {
        memcpy(&record, data, RECORD);
        step(&fuzz, &record);
    }
    require_that_it_works(&fuzz);
    close(fuzz.listener);
    for (int i = 0; i < PROGRAMS; i++)
        if (fuzz.programs[i] >= 0)
            close(fuzz.programs[i]);
    guest_free(fuzz.guest);
    return 0;
}
