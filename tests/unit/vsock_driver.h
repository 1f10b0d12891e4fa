/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A driver of the socket device, and the host programs that it talks to. */
#ifndef VSOCK_DRIVER_H
#define VSOCK_DRIVER_H

#include <errno.h>
#include <linux/virtio_vsock.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <vmm/virtio_vsock.h>

#include "virtio_driver.h"

#define CID       3u
#define ENTRIES   16u
#define RX_BYTES  0x1000u
#define RX_AT     0x10000u
#define TX_AT     0x20000u
#define HDR_BYTES sizeof(struct virtio_vsock_hdr)
#define RX        0u
#define TX        1u
#define EVENT     2u
#define RING(q)   (0x8000u + 0x1000u * (q))
#define HOST_PORT 52u
#define PORT      1024u
#define BUFFER    65536u /* what the guest says it has, unless a test does */
#define CLOSE_MS  30

struct ring {
    uint16_t next, seen;
};

struct guest {
    struct host host;
    struct ring rings[3];
    char directory[32], path[64];
    uint32_t forwarded; /* its counter, in each packet that send_op sends */
    uint32_t buffer;
};

/* ---- rings ---- */

static inline void desc(struct guest *g, unsigned q, uint16_t index,
                        uint64_t gpa, uint32_t len, uint16_t flags,
                        uint16_t next)
{
    struct vring_desc d = {gpa, len, flags, next};

    MUST(vmm_memory_write(g->host.driver.memory, RING(q) + 16u * index, &d,
                          sizeof(d)));
}

static inline void offer(struct guest *g, unsigned q, uint16_t head)
{
    struct vmm_memory *memory = g->host.driver.memory;
    struct ring *ring = &g->rings[q];

    MUST(vmm_memory_store_u16(
        memory, RING(q) + 0x404 + 2u * (ring->next % ENTRIES), head));
    ring->next++;
    MUST(vmm_memory_store_release_u16(memory, RING(q) + 0x402, ring->next));
}

static inline void kick(struct guest *g, unsigned q)
{
    put(&g->host, VIRTIO_MMIO_QUEUE_NOTIFY, q);
    serve(&g->host);
}

static inline bool collect(struct guest *g, unsigned q, uint32_t *id,
                           uint32_t *len)
{
    struct vmm_memory *memory = g->host.driver.memory;
    struct ring *ring = &g->rings[q];
    vmm_gpa_t slot = RING(q) + 0x804 + 8u * (ring->seen % ENTRIES);
    uint16_t index;

    MUST(vmm_memory_load_acquire_u16(memory, RING(q) + 0x802, &index));
    if (index == ring->seen)
        return false;
    MUST(vmm_memory_load_u32(memory, slot, id));
    MUST(vmm_memory_load_u32(memory, slot + 4, len));
    ring->seen++;
    return true;
}

/* ---- life ---- */

static inline void offer_rx(struct guest *g, uint16_t index)
{
    desc(g, RX, index, RX_AT + RX_BYTES * index, RX_BYTES, VRING_DESC_F_WRITE,
         0);
    offer(g, RX, index);
}

static inline void lay_out_queue(struct guest *g, uint32_t q)
{
    struct host *h = &g->host;

    put(h, VIRTIO_MMIO_QUEUE_SEL, q);
    put(h, VIRTIO_MMIO_QUEUE_NUM, ENTRIES);
    put(h, VIRTIO_MMIO_QUEUE_DESC_LOW, RING(q));
    put(h, VIRTIO_MMIO_QUEUE_AVAIL_LOW, RING(q) + 0x400);
    put(h, VIRTIO_MMIO_QUEUE_USED_LOW, RING(q) + 0x800);
    put(h, VIRTIO_MMIO_QUEUE_READY, 1);
}

static inline void come_up(struct guest *g, unsigned rx_buffers)
{
    struct host *h = &g->host;

    memset(g->rings, 0, sizeof(g->rings));
    MUST(vmm_memory_fill(h->driver.memory, RING(0), 0, 0x3000));
    negotiate(h, VERSION_1 | INDIRECT_BIT);
    for (uint32_t q = 0; q < 3; q++)
        lay_out_queue(g, q);
    for (uint16_t i = 0; i < rx_buffers; i++)
        offer_rx(g, i);
    drive_ok(h);
    serve(h);
    assert_int_equal(get(h, VIRTIO_MMIO_STATUS),
                     ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

static inline struct guest *guest_new(void)
{
    struct guest *g = calloc(1, sizeof(*g));
    struct vmm_virtio *virtio;
    struct vmm_error err;

    host_set_up(&g->host);
    strcpy(g->directory, "/tmp/vmm-vsock-XXXXXX");
    if (!mkdtemp(g->directory))
        fail_msg("mkdtemp");
    snprintf(g->path, sizeof(g->path), "%s/s", g->directory);
    struct vmm_vsock_config config = {
        .cid = CID, .path = g->path, .close_ms = CLOSE_MS};
    if (vmm_virtio_vsock_new(g->host.driver.memory, g->host.loop, &config,
                             &virtio, &err))
        fail_msg("%s", err.text);
    host_attach(&g->host, virtio);
    g->buffer = BUFFER;
    return g;
}

static inline void guest_free(struct guest *g)
{
    char path[80];

    host_tear_down(&g->host);
    snprintf(path, sizeof(path), "%s_%u", g->path, HOST_PORT);
    unlink(path);
    assert_int_equal(rmdir(g->directory), 0); /* the socket's file is gone */
    free(g);
}

/* ---- packets ---- */

static inline struct virtio_vsock_hdr header(struct guest *g, uint16_t op)
{
    return (struct virtio_vsock_hdr){.src_cid = CID,
                                     .dst_cid = 2,
                                     .src_port = PORT,
                                     .dst_port = HOST_PORT,
                                     .type = VIRTIO_VSOCK_TYPE_STREAM,
                                     .op = op,
                                     .buf_alloc = g->buffer,
                                     .fwd_cnt = g->forwarded};
}

/* Send a packet of whatever says, with as many bytes behind as count. */
static inline void send_raw(struct guest *g, const struct virtio_vsock_hdr *hdr,
                            const void *bytes, uint32_t count)
{
    struct vmm_memory *memory = g->host.driver.memory;
    uint32_t id, len;

    MUST(vmm_memory_write(memory, TX_AT, hdr, HDR_BYTES));
    if (count)
        MUST(vmm_memory_write(memory, TX_AT + HDR_BYTES, bytes, count));
    desc(g, TX, 0, TX_AT, (uint32_t)HDR_BYTES + count, 0, 0);
    offer(g, TX, 0);
    kick(g, TX);
    assert_true(collect(g, TX, &id, &len));
    assert_int_equal(len, 0);
}

static inline void send_op(struct guest *g, uint16_t op, uint32_t flags)
{
    struct virtio_vsock_hdr hdr = header(g, op);

    hdr.flags = flags;
    send_raw(g, &hdr, NULL, 0);
}

static inline void send_data(struct guest *g, const void *bytes, uint32_t count)
{
    struct virtio_vsock_hdr hdr = header(g, VIRTIO_VSOCK_OP_RW);

    hdr.len = count;
    send_raw(g, &hdr, bytes, count);
}

/* The next packet for the guest, with its bytes; its buffer is offered again.
 * False: none has come. */
static inline bool next_packet(struct guest *g, struct virtio_vsock_hdr *hdr,
                               void *bytes)
{
    struct vmm_memory *memory = g->host.driver.memory;
    uint32_t id, len;

    serve(&g->host);
    if (!collect(g, RX, &id, &len))
        return false;
    assert_in_range(id, 0, ENTRIES - 1);
    MUST(vmm_memory_read(memory, RX_AT + RX_BYTES * id, hdr, HDR_BYTES));
    assert_int_equal(len, HDR_BYTES + hdr->len);
    assert_int_equal(hdr->dst_cid, CID);
    if (bytes)
        MUST(vmm_memory_read(memory, RX_AT + RX_BYTES * id + HDR_BYTES, bytes,
                             hdr->len));
    offer_rx(g, (uint16_t)id);
    kick(g, RX);
    return true;
}

/* It is of this operation, and about the connection of PORT and HOST_PORT. */
static inline struct virtio_vsock_hdr expect_op(struct guest *g, uint16_t op)
{
    struct virtio_vsock_hdr hdr;

    if (!next_packet(g, &hdr, NULL))
        fail_msg("no packet came, op %u was expected", op);
    assert_int_equal(hdr.op, op);
    assert_int_equal(hdr.type, VIRTIO_VSOCK_TYPE_STREAM);
    assert_int_equal(hdr.src_cid, 2);
    assert_int_equal(hdr.dst_port, PORT);
    return hdr;
}

static inline void expect_nothing(struct guest *g)
{
    struct virtio_vsock_hdr hdr;

    if (next_packet(g, &hdr, NULL))
        fail_msg("a packet came: op %u", hdr.op);
}

static inline void expect_data(struct guest *g, const char *text)
{
    struct virtio_vsock_hdr hdr;
    char bytes[RX_BYTES];

    if (!next_packet(g, &hdr, bytes))
        fail_msg("no packet came, \"%s\" was expected", text);
    assert_int_equal(hdr.op, VIRTIO_VSOCK_OP_RW);
    assert_int_equal(hdr.len, strlen(text));
    assert_memory_equal(bytes, text, hdr.len);
    g->forwarded += hdr.len;
}

/* ---- host programs ---- */

static inline struct sockaddr_un unix_address(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    return address;
}

static inline int host_listen(struct guest *g)
{
    char path[80];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(path, sizeof(path), "%s_%u", g->path, HOST_PORT);
    struct sockaddr_un address = unix_address(path);
    unlink(path);
    assert_int_equal(bind(fd, (void *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 128), 0);
    return fd;
}

static inline int host_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

    assert_true(fd >= 0);
    return fd;
}

static inline int host_connect(struct guest *g)
{
    struct sockaddr_un address = unix_address(g->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    assert_int_equal(connect(fd, (void *)&address, sizeof(address)), 0);
    serve(&g->host);
    return fd;
}

static inline void host_write(struct guest *g, int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    serve(&g->host);
}

static inline void host_expect(int fd, const char *text)
{
    char bytes[256] = "";
    ssize_t got = read(fd, bytes, sizeof(bytes) - 1);

    if (got < 0)
        fail_msg("nothing to read, \"%s\" was expected: %d", text, errno);
    assert_string_equal(bytes, text);
}

static inline void host_expect_end(int fd)
{
    char byte;

    assert_int_equal(read(fd, &byte, 1), 0);
}

static inline void host_expect_nothing(int fd)
{
    char byte;

    assert_int_equal(read(fd, &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
}

/* A connection that the guest has made: the host's end. */
static inline int connected(struct guest *g)
{
    int listener = host_listen(g);

    send_op(g, VIRTIO_VSOCK_OP_REQUEST, 0);
    expect_op(g, VIRTIO_VSOCK_OP_RESPONSE);
    int fd = host_accept(listener);
    close(listener);
    return fd;
}

#endif
