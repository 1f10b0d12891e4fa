/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Capture files: libpcap's classic format, written frame by frame. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <vmm/net.h>
#include <vmm/pcap.h>

#include "net/frames.h"

#define MAGIC_NS      0xa1b23c4du /* records have nanoseconds */
#define LINK_ETHERNET 1
#define DEFAULT_BYTES (UINT64_C(1) << 30)

struct vmm_pcap {
    int fd; /* -1: nothing more is written */
    uint64_t left;
};

struct file_header {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t zone, accuracy, frame_max, link;
};

struct record {
    uint32_t seconds, ns, captured, length;
    uint8_t frame[VMM_NET_FRAME_MAX];
};
#define RECORD_HEADER 16

/* In one write, so that a reader finds whole records. */
static void append(struct vmm_pcap *pcap, const void *bytes, size_t len)
{
    ssize_t written = -1;

    if (len <= pcap->left)
        do
            written = write(pcap->fd, bytes, len);
        while (written < 0 && errno == EINTR);
    pcap->left -= len <= pcap->left ? len : 0;
    if (written == (ssize_t)len)
        return;
    close(pcap->fd);
    pcap->fd = -1;
}

void vmm_pcap_add(struct vmm_pcap *pcap, const struct iovec *frame, int count)
{
    struct timespec now;
    struct record record;
    size_t len = iovec_bytes(frame, count);

    if (pcap->fd < 0 || len > sizeof(record.frame))
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    record.seconds = (uint32_t)now.tv_sec;
    record.ns = (uint32_t)now.tv_nsec;
    record.captured = record.length = (uint32_t)len;
    iovec_gather(frame, count, record.frame);
    append(pcap, &record, RECORD_HEADER + len);
}

static int open_file(const char *path, struct vmm_error *err)
{
    struct stat about;
    /* Not blocking: a FIFO that nobody reads. */
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);

    if (fd < 0)
        return vmm_error_errno(err, "pcap %s", path);
    int rc = fstat(fd, &about) ? vmm_error_errno(err, "pcap %s", path) : 0;
    if (rc == 0 && !S_ISREG(about.st_mode))
        rc = vmm_error_set(err, EINVAL, "pcap %s: not a regular file", path);
    if (rc == 0 && ftruncate(fd, 0))
        rc = vmm_error_errno(err, "pcap %s", path);
    if (rc)
        close(fd);
    return rc ? rc : fd;
}

int vmm_pcap_open(const char *path, uint64_t max_bytes, struct vmm_pcap **pcap,
                  struct vmm_error *err)
{
    static const struct file_header header = {.magic = MAGIC_NS,
                                              .major = 2,
                                              .minor = 4,
                                              .frame_max = VMM_NET_FRAME_MAX,
                                              .link = LINK_ETHERNET};

    vmm_error_clear(err);
    *pcap = NULL;
    int fd = open_file(path, err);
    if (fd < 0)
        return fd;
    struct vmm_pcap *made = malloc(sizeof(*made));
    if (!made) {
        close(fd);
        return vmm_error_set(err, ENOMEM, "pcap %s: out of memory", path);
    }
    *made = (struct vmm_pcap){fd, max_bytes ? max_bytes : DEFAULT_BYTES};
    append(made, &header, sizeof(header));
    *pcap = made;
    return 0;
}

void vmm_pcap_close(struct vmm_pcap *pcap)
{
    if (!pcap)
        return;
    if (pcap->fd >= 0)
        close(pcap->fd);
    free(pcap);
}
