/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The binary statistics of KVM: a header, descriptors, and values. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <vmm/stats.h>

/* Far more than any kernel has (48-byte names, some 50 of them, 4 KiB). */
#define NAME_BYTES_MAX  256
#define DESCRIPTORS_MAX 4096
#define DATA_BYTES_MAX  (1u << 20)

/* What a stats fd holds, read at once. */
struct stats {
    struct kvm_stats_header header;
    size_t descriptor_bytes; /* of one, its name included */
    uint8_t *descriptors;
    uint8_t *data;
    size_t data_bytes;
};

int vmm_stats_open(int kvm_object_fd)
{
    int fd = ioctl(kvm_object_fd, KVM_GET_STATS_FD, NULL);

    return fd < 0 ? -errno : fd;
}

static int read_all(int fd, void *buffer, size_t len, uint64_t offset)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, (uint8_t *)buffer + done, len - done,
                          (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EPROTO; /* it ends before what it describes */
        done += (size_t)n;
    }
    return 0;
}

/* A copy: the bytes are not aligned as the structure is. */
static struct kvm_stats_desc descriptor(const struct stats *stats, size_t i)
{
    struct kvm_stats_desc desc;

    memcpy(&desc, stats->descriptors + i * stats->descriptor_bytes,
           sizeof(desc));
    return desc;
}

/* How many bytes of data the descriptors speak of; -EPROTO: too many. */
static int measure_data(struct stats *stats)
{
    for (size_t i = 0; i < stats->header.num_desc; i++) {
        struct kvm_stats_desc desc = descriptor(stats, i);
        uint64_t end = (uint64_t)desc.offset + (uint64_t)desc.size * 8;

        if (desc.offset % 8 || end > DATA_BYTES_MAX)
            return -EPROTO;
        if (end > stats->data_bytes)
            stats->data_bytes = end;
    }
    return 0;
}

static int load(int fd, struct stats *stats)
{
    struct kvm_stats_header *header = &stats->header;

    int r = read_all(fd, header, sizeof(*header), 0);
    if (r < 0)
        return r;
    if (header->name_size == 0 || header->name_size > NAME_BYTES_MAX ||
        header->num_desc > DESCRIPTORS_MAX)
        return -EPROTO;
    stats->descriptor_bytes = sizeof(struct kvm_stats_desc) + header->name_size;
    size_t bytes = header->num_desc * stats->descriptor_bytes;
    stats->descriptors = malloc(bytes + 1);
    if (!stats->descriptors)
        return -ENOMEM;
    r = read_all(fd, stats->descriptors, bytes, header->desc_offset);
    if (r == 0)
        r = measure_data(stats);
    if (r < 0)
        return r;
    stats->data = malloc(stats->data_bytes + 1);
    if (!stats->data)
        return -ENOMEM;
    return read_all(fd, stats->data, stats->data_bytes, header->data_offset);
}

static void give(const struct stats *stats, size_t i,
                 void (*fn)(void *context, const struct vmm_stat *stat),
                 void *context)
{
    struct kvm_stats_desc desc = descriptor(stats, i);
    const uint8_t *name =
        stats->descriptors + i * stats->descriptor_bytes + sizeof(desc);
    char text[NAME_BYTES_MAX + 1];
    struct vmm_stat stat = {
        .name = text,
        .kind = (enum vmm_stat_kind)(desc.flags & KVM_STATS_TYPE_MASK),
        .unit = (enum vmm_stat_unit)((desc.flags & KVM_STATS_UNIT_MASK) >>
                                     KVM_STATS_UNIT_SHIFT),
        .base =
            (desc.flags & KVM_STATS_BASE_MASK) == KVM_STATS_BASE_POW2 ? 2 : 10,
        .exponent = desc.exponent,
        .bucket_size = desc.bucket_size,
        .count = desc.size,
    };

    /* Kinds and units of a later kernel have no meaning yet. */
    if (stat.kind > VMM_STAT_LOG_HISTOGRAM || stat.unit > VMM_STAT_BOOLEAN ||
        desc.size == 0)
        return;
    memcpy(text, name, stats->header.name_size);
    text[stats->header.name_size] = '\0';
    /* malloc's alignment, and offsets that are multiples of 8. */
    stat.values = (const uint64_t *)(const void *)(stats->data + desc.offset);
    fn(context, &stat);
}

int vmm_stats_each(int stats_fd,
                   void (*fn)(void *context, const struct vmm_stat *stat),
                   void *context)
{
    struct stats stats = {0};

    int r = load(stats_fd, &stats);
    for (size_t i = 0; r == 0 && i < stats.header.num_desc; i++)
        give(&stats, i, fn, context);
    free(stats.descriptors);
    free(stats.data);
    return r;
}
