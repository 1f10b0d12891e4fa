/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The socket device on a thread of its own, reset by its driver on another
 * while host programs come, talk and go. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vsock_driver.h"

#define ROUNDS  300
#define PACKETS 3000

struct program {
    const char *path;
    atomic_bool stop;
    atomic_uint rounds;
};

/* Connect, ask for a port, send bytes, go. */
static void *come_and_go(void *context)
{
    struct program *program = context;
    struct sockaddr_un address = unix_address(program->path);
    static const char bytes[] = "CONNECT 1024\nsome bytes that may be lost";

    while (!program->stop) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

        if (connect(fd, (void *)&address, sizeof(address)) == 0 &&
            send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
            program->rounds++;
        if (program->rounds % 2)
            sched_yield();
        close(fd);
    }
    return NULL;
}

/* As come_up, with the loop on its own thread. */
static void lay_out(struct guest *g)
{
    struct host *h = &g->host;

    memset(g->rings, 0, sizeof(g->rings));
    MUST(vmm_memory_fill(h->driver.memory, RING(0), 0, 0x3000));
    negotiate(h, VERSION_1 | INDIRECT_BIT);
    for (uint32_t q = 0; q < 3; q++)
        lay_out_queue(g, q);
    for (uint16_t i = 0; i < ENTRIES; i++)
        offer_rx(g, i);
    drive_ok(h);
}

/* Accept what the host asks for, for a while; how many packets came. */
static unsigned answer_some(struct guest *g, unsigned turns)
{
    struct vmm_memory *memory = g->host.driver.memory;
    struct virtio_vsock_hdr hdr;
    uint32_t id, len;
    unsigned packets = 0;
    bool sending = false;

    for (unsigned i = 0; i < turns; i++) {
        if (collect(g, TX, &id, &len))
            sending = false;
        if (!collect(g, RX, &id, &len))
            continue;
        packets++;
        MUST(vmm_memory_read(memory, RX_AT + RX_BYTES * id, &hdr, HDR_BYTES));
        offer_rx(g, (uint16_t)id);
        if (hdr.op == VIRTIO_VSOCK_OP_REQUEST && !sending) {
            struct virtio_vsock_hdr answer =
                header(g, VIRTIO_VSOCK_OP_RESPONSE);

            answer.dst_port = hdr.src_port;
            MUST(vmm_memory_write(memory, TX_AT, &answer, HDR_BYTES));
            desc(g, TX, 0, TX_AT, HDR_BYTES, 0, 0);
            sending = true;
            offer(g, TX, 0);
            put(&g->host, VIRTIO_MMIO_QUEUE_NOTIFY, TX);
        }
        put(&g->host, VIRTIO_MMIO_QUEUE_NOTIFY, RX);
    }
    return packets;
}

static void resets_meet_programs_that_come_and_go(void **state)
{
    struct guest *g = guest_new();
    struct program program = {.path = g->path};
    pthread_t threads[2];
    unsigned packets = 0;

    (void)state;
    MUST(vmm_loop_start_thread(g->host.loop, "vsock", NULL));
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, come_and_go, &program);
    for (unsigned round = 0; round < ROUNDS || packets < PACKETS; round++) {
        lay_out(g);
        packets += answer_some(g, 2000);
        if (round % 16 == 0)
            MUST(vmm_virtio_vsock_reset(g->host.virtio));
        put(&g->host, VIRTIO_MMIO_STATUS, 0);
    }
    lay_out(g);
    /* Its transport goes while they are there. */
    vmm_virtio_close(g->host.virtio);
    program.stop = true;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    guest_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resets_meet_programs_that_come_and_go),
    };

    return RUN_OVER_BOTH("virtio_vsock_threads", tests);
}
