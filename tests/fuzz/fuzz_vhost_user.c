/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the front end of vhost-user: the input is what a back end answers and
 * asks, and when.
 *
 * Input: a byte for the device (bit 0: a file system, else a disk; bits 1 and
 * 2: its queues less 1), a byte with the number of answers, the answers, of 12
 * bytes each, and then actions of a byte each, some with answers or bytes
 * behind.  All answers are there before they are asked for: nobody waits.
 *
 * An answer: its request, what is wrong with its flags (bit 7: no header at
 * all; bit 6: with files), with its length, a byte of no use; 8 bytes.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/vhost_user.h>

#include "require.h"
#include "virtio/vhost_connection.h"

#define RAM         0x10000u
#define SIZE        4u
#define RING        0x400u
#define ANSWER      12
#define ANSWERS_MAX 64
#define CONFIG_LEN  (VHOST_CONFIG_HEADER + 60)
#define EVERYTHING                                                             \
    (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |                    \
     VIRTIO_CONFIG_S_FEATURES_OK)

enum {
    BRING_UP,
    RESET,
    NOTIFY,
    STEP,
    READ_CONFIG,
    WRITE_CONFIG,
    CALL,
    ANSWER_MORE,
    ASK,
    HANG_UP,
    ACTIONS
};

struct fuzz {
    const uint8_t *data;
    size_t size;
    struct vmm_memory *memory;
    struct vmm_loop *loop;
    struct vmm_virtio *virtio;
    struct vmm_device *device;
    unsigned failures;
    int fd; /* the back end's */
    int channel, call;
};

static void on_failed(void *context)
{
    ((struct fuzz *)context)->failures++;
}

static void on_wire(void *context, bool level)
{
    (void)context;
    (void)level;
}

static uint8_t take(struct fuzz *fuzz)
{
    if (!fuzz->size)
        return 0;
    fuzz->size--;
    return *fuzz->data++;
}

/* ---- the back end ---------------------------------------------------------
 */

static void send_with(int fd, const void *bytes, size_t len, bool with_files)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec piece = {(void *)(uintptr_t)bytes, len};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    int file = with_files ? eventfd(0, EFD_CLOEXEC) : -1;

    if (file >= 0) {
        struct cmsghdr *header = (struct cmsghdr *)(void *)control;

        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(file));
        memcpy(CMSG_DATA(header), &file, sizeof(file));
    }
    sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (file >= 0)
        close(file);
}

static void answer(struct fuzz *fuzz, int fd)
{
    struct {
        struct vhost_header header;
        uint8_t payload[CONFIG_LEN + 128];
    } reply = {0};
    uint8_t record[ANSWER];

    for (size_t i = 0; i < ANSWER; i++)
        record[i] = take(fuzz);
    size_t len = record[0] == VHOST_GET_CONFIG ? CONFIG_LEN : 8;
    len += (size_t)(int8_t)record[2];
    if (len > sizeof(reply.payload))
        len = 0;
    reply.header.request = record[0];
    reply.header.flags = VHOST_VERSION | VHOST_REPLY;
    reply.header.flags ^= record[1] & 0x3f;
    reply.header.size = (uint32_t)len;
    memcpy(reply.payload, record + 4, 8);
    if (record[1] & 0x80)
        send_with(fd, record + 4, 8, record[1] & 0x40);
    else
        send_with(fd, &reply, sizeof(reply.header) + len, record[1] & 0x40);
}

static void keep(int *fd, int new)
{
    if (*fd >= 0)
        close(*fd);
    *fd = new;
}

/* Take what we were sent, and the files of interest: those of the last
 * message that had one. */
static void drain(struct fuzz *fuzz)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))];
    uint8_t bytes[sizeof(struct vhost_header) + sizeof(struct vhost_memory)];
    struct vhost_header header;
    int fds[8];

    for (;;) {
        struct iovec piece = {bytes, sizeof(header)};
        struct msghdr message = {.msg_iov = &piece,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof(control)};

        if (recvmsg(fuzz->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) !=
            sizeof(header))
            return;
        memcpy(&header, bytes, sizeof(header));
        REQUIRE(header.size <= sizeof(struct vhost_config));
        if (header.size)
            recv(fuzz->fd, bytes, header.size, MSG_DONTWAIT);
        struct cmsghdr *files = CMSG_FIRSTHDR(&message);
        if (!files)
            continue;
        size_t len = files->cmsg_len - CMSG_LEN(0);
        memcpy(fds, CMSG_DATA(files), len);
        if (header.request == VHOST_SET_BACKEND_REQ_FD)
            keep(&fuzz->channel, fds[0]);
        else if (header.request == VHOST_SET_VRING_CALL)
            keep(&fuzz->call, fds[0]);
        else
            for (size_t i = 0; i < len / sizeof(int); i++)
                close(fds[i]);
    }
}

/* ---- the driver -----------------------------------------------------------
 */

static void put(struct fuzz *fuzz, uint32_t offset, uint32_t value)
{
    fuzz->device->regions[0].write(fuzz->device, offset,
                                   (const uint8_t *)&value, 4);
}

static uint32_t get(struct fuzz *fuzz, uint32_t offset)
{
    uint32_t value;

    fuzz->device->regions[0].read(fuzz->device, offset, (uint8_t *)&value, 4);
    return value;
}

static void bring_up(struct fuzz *fuzz)
{
    put(fuzz, VIRTIO_MMIO_STATUS, 0);
    for (uint32_t i = 0; i < 2; i++) {
        put(fuzz, VIRTIO_MMIO_DEVICE_FEATURES_SEL, i);
        put(fuzz, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
        put(fuzz, VIRTIO_MMIO_DRIVER_FEATURES,
            get(fuzz, VIRTIO_MMIO_DEVICE_FEATURES));
    }
    put(fuzz, VIRTIO_MMIO_STATUS, EVERYTHING);
    for (uint32_t i = 0; i < fuzz->virtio->queue_count; i++) {
        put(fuzz, VIRTIO_MMIO_QUEUE_SEL, i);
        put(fuzz, VIRTIO_MMIO_QUEUE_NUM, SIZE);
        put(fuzz, VIRTIO_MMIO_QUEUE_DESC_LOW, RING * i);
        put(fuzz, VIRTIO_MMIO_QUEUE_AVAIL_LOW, RING * i + 0x100);
        put(fuzz, VIRTIO_MMIO_QUEUE_USED_LOW, RING * i + 0x200);
        put(fuzz, VIRTIO_MMIO_QUEUE_READY, 1);
    }
    put(fuzz, VIRTIO_MMIO_STATUS, EVERYTHING | VIRTIO_CONFIG_S_DRIVER_OK);
    REQUIRE(!fuzz->failures ||
            get(fuzz, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void act(struct fuzz *fuzz)
{
    uint8_t bytes[64], len;

    switch (take(fuzz) % ACTIONS) {
    case BRING_UP:
        bring_up(fuzz);
        break;
    case RESET:
        put(fuzz, VIRTIO_MMIO_STATUS, 0);
        break;
    case NOTIFY:
        put(fuzz, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        break;
    case STEP:
        for (int i = 0; i < 4; i++)
            vmm_loop_step(fuzz->loop, 0);
        break;
    case READ_CONFIG:
        get(fuzz, VIRTIO_MMIO_CONFIG + (take(fuzz) & ~3u));
        break;
    case WRITE_CONFIG:
        bytes[0] = take(fuzz);
        fuzz->device->regions[0].write(
            fuzz->device, VIRTIO_MMIO_CONFIG + take(fuzz), bytes, 1);
        break;
    case CALL:
        if (fuzz->call >= 0)
            eventfd_write(fuzz->call, 1);
        break;
    case ANSWER_MORE:
        answer(fuzz, fuzz->fd);
        break;
    case ASK: /* bytes for the channel */
        len = take(fuzz) % sizeof(bytes);
        for (uint8_t i = 0; i < len; i++)
            bytes[i] = take(fuzz);
        if (fuzz->channel >= 0 && len)
            send_with(fuzz->channel, bytes, len, len & 1);
        break;
    default: /* HANG_UP */
        shutdown(fuzz->fd, SHUT_RDWR);
    }
    drain(fuzz);
    REQUIRE(fuzz->failures <= 1);
}

/* ---- life -----------------------------------------------------------------
 */

static bool make_device(struct fuzz *fuzz, int front, uint8_t what)
{
    const struct vmm_irq_line line = {on_wire, NULL};
    const struct vmm_vhost_user_config config = {
        .name = "fuzz",
        .memory = fuzz->memory,
        .loop = fuzz->loop,
        .socket = front,
        .id = what & 1 ? VIRTIO_ID_FS : VIRTIO_ID_BLOCK,
        .tag = "tag",
        .queues = 1 + (what >> 1 & 3),
        .deadline_ns = 1,
        .failed = on_failed,
        .context = fuzz,
    };
    struct vmm_error err;

    if (vmm_vhost_user_new(&config, &fuzz->virtio, &err)) {
        REQUIRE(err.code && strncmp(err.text, "fuzz: ", 6) == 0);
        return false;
    }
    REQUIRE(vmm_virtio_mmio_new(vmm_virtio_ref(fuzz->virtio), &line,
                                &fuzz->device, NULL) == 0);
    return true;
}

static void run(struct fuzz *fuzz)
{
    const uint8_t what = take(fuzz);
    const unsigned answers = take(fuzz) % (ANSWERS_MAX + 1);
    int fds[2];

    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    fuzz->fd = fds[1];
    for (unsigned i = 0; i < answers; i++)
        answer(fuzz, fuzz->fd);
    if (make_device(fuzz, fds[0], what)) {
        drain(fuzz);
        while (fuzz->size)
            act(fuzz);
        vmm_device_unref(fuzz->device);
        vmm_virtio_unref(fuzz->virtio);
    }
    drain(fuzz);
    keep(&fuzz->channel, -1);
    keep(&fuzz->call, -1);
    close(fuzz->fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct vmm_memory_range range = {0, RAM};
    const struct vmm_memory_config memory = {
        .ranges = &range, .range_count = 1, .shared = true};
    struct fuzz fuzz = {.data = data, .size = size, .channel = -1, .call = -1};

    REQUIRE(vmm_memory_new(&memory, &fuzz.memory, NULL) == 0);
    REQUIRE(vmm_loop_new(&fuzz.loop, NULL) == 0);
    run(&fuzz);
    vmm_loop_free(fuzz.loop);
    vmm_memory_unref(fuzz.memory);
    return 0;
}
