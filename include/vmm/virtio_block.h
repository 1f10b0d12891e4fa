/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The block device: a disk whose bytes are those of a file, or what a program
 * makes of them; its limits and its faults. */
#ifndef VMM_VIRTIO_BLOCK_H
#define VMM_VIRTIO_BLOCK_H

#include <vmm/limit.h>
#include <vmm/virtio.h>

#define VMM_VIRTIO_BLOCK_QUEUES_MAX   16
#define VMM_VIRTIO_BLOCK_SERIAL_BYTES 20

/* What a driver asks for.  (Of a read-only disk it flushes nothing.) */
enum vmm_block_op {
    VMM_BLOCK_READ,
    VMM_BLOCK_WRITE,
    VMM_BLOCK_FLUSH,
    VMM_BLOCK_DISCARD,
    VMM_BLOCK_WRITE_ZEROES
};
#define VMM_BLOCK_OPS 5

/* Of the disk, in bytes. */
struct vmm_block_range {
    uint64_t offset, len;
    bool unmap; /* zeroes may be a hole */
};
#define VMM_BLOCK_RANGES_MAX 16

/* Who is told that there is something to take, by a bit of `what`.  Called with
 * the device's lock held, on any thread: it may only leave a note. */
struct vmm_block_listener {
    void (*pending)(void *context, unsigned what); /* NULL: nobody */
    /* The device is closed: pending will not be called again.  May be NULL. */
    void (*closed)(void *context);
    void *context;
};
#define VMM_BLOCK_WORK     (1u << 0) /* vmm_virtio_block_take */
#define VMM_BLOCK_QUESTION (1u << 1) /* vmm_virtio_block_question */

/* A disk without a file: its listener takes the requests. */
struct vmm_block_backend {
    uint64_t size; /* bytes, a multiple of 512 */
    /* Which it takes, beside reads, and writes unless it is read-only.  The
     * others are not offered to the driver; a flush is answered at once. */
    bool flush, discard, write_zeroes;
};

struct vmm_virtio_block_config {
    struct vmm_memory *memory; /* referenced */
    struct vmm_loop *loop;
    /* A regular file or a block device.  It is the disk, byte by byte,
     * whatever is in it: no image format is looked for.  A size that is no
     * multiple of 512 bytes is refused. */
    const char *path;
    const struct vmm_block_backend *backend; /* instead of path; else NULL */
    struct vmm_block_listener listener;
    bool read_only;
    bool direct;            /* O_DIRECT: past the host's page cache */
    bool threads;           /* no io_uring, even where the host has it */
    const char *serial;     /* up to VMM_VIRTIO_BLOCK_SERIAL_BYTES; NULL: "" */
    unsigned queues;        /* 1 to VMM_VIRTIO_BLOCK_QUEUES_MAX */
    struct vmm_limit limit; /* zeros: none */
};

/*
 * The file is locked for as long as the device lives: readers share it, who
 * writes has it alone.  -EBUSY: somebody else has it; -EINVAL: what the text
 * says; or what open(2) fails with.
 *
 * A driver that has negotiated VIRTIO_BLK_F_FLUSH finds on stable storage what
 * was written before a flush that has been answered; for another one, that is
 * so for each write that has been answered.
 */
VMM_API int vmm_virtio_block_new(const struct vmm_virtio_block_config *config,
                                 struct vmm_virtio **virtio,
                                 struct vmm_error *err);
/* Is it a device that vmm_virtio_block_new has made?  Only such a one is taken
 * by what follows. */
VMM_API bool vmm_virtio_is_block(const struct vmm_virtio *virtio);
/* Bytes, as the driver sees it. */
VMM_API uint64_t vmm_virtio_block_size(struct vmm_virtio *virtio);
/* Make the file this long (a multiple of its block size), and tell the driver;
 * what is cut off is lost.  -EROFS; -ENOTSUP for a block device. */
VMM_API int vmm_virtio_block_resize(struct vmm_virtio *virtio, uint64_t bytes,
                                    struct vmm_error *err);
/* Somebody else may have changed the file's length: look, and tell the driver
 * if so.  -EINVAL: it is no multiple of the block size; nothing changes. */
VMM_API int vmm_virtio_block_refresh(struct vmm_virtio *virtio,
                                     struct vmm_error *err);
/* What carries requests out: "io_uring", "threads" or "backend". */
VMM_API const char *vmm_virtio_block_engine(const struct vmm_virtio *virtio);

/* ---- limits ---------------------------------------------------------------
 */

/* Of the bytes that are read, written and made zero, and of requests, from now
 * on. */
VMM_API void vmm_virtio_block_limit(struct vmm_virtio *virtio,
                                    const struct vmm_limit *limit);
VMM_API void vmm_virtio_block_limit_get(struct vmm_virtio *virtio,
                                        struct vmm_limit *limit);

/* ---- faults ---------------------------------------------------------------
 *
 * What a driver asks for can be refused, or answered late, before any backend
 * sees it.  A request is counted by each fault that it matches; the oldest one
 * that has a status for it decides that, the longest delay counts.
 */

struct vmm_block_fault {
    unsigned ops; /* 1 << VMM_BLOCK_READ and so on */
    /* Requests that touch one of these sectors of 512 bytes; from 0 to
     * UINT64_MAX all, and flushes. */
    uint64_t first, last;
    uint64_t nth;   /* the first request that it hits, of those; from 1 */
    uint64_t times; /* how many it hits from there on */
    uint8_t status; /* VIRTIO_BLK_S_*; _OK: it is carried out */
    uint64_t delay_ns;
};

/* *id: from 1.  -ENOMEM. */
VMM_API int vmm_virtio_block_fault(struct vmm_virtio *virtio,
                                   const struct vmm_block_fault *fault,
                                   unsigned *id, struct vmm_error *err);
/* How many requests it has matched and hit; false: it is removed. */
VMM_API bool vmm_virtio_block_fault_counts(struct vmm_virtio *virtio,
                                           unsigned id, uint64_t *matches,
                                           uint64_t *hits);
/* What it delays goes on at once.  Nothing when there is none of that id. */
VMM_API void vmm_virtio_block_fault_remove(struct vmm_virtio *virtio,
                                           unsigned id);

/*
 * Have the listener decide about each request, after the faults: it is told of
 * VMM_BLOCK_QUESTION, takes the questions one by one, and decides.  Requests
 * that wait for that are the driver's again after a reset: then, and when
 * asking has ended, a decision finds nothing.  Who has not taken all questions
 * asks again, with true, to be told of those that are left.
 */
VMM_API void vmm_virtio_block_ask(struct vmm_virtio *virtio, bool on);
struct vmm_block_question {
    uint64_t id;
    enum vmm_block_op op;
    uint64_t sector, sectors; /* of its first range; of a flush: 0 */
};
/* False: there is none. */
VMM_API bool vmm_virtio_block_question(struct vmm_virtio *virtio,
                                       struct vmm_block_question *question);
/* As a fault's status and delay.  -ENOENT. */
VMM_API int vmm_virtio_block_decide(struct vmm_virtio *virtio, uint64_t id,
                                    uint8_t status, uint64_t delay_ns);

/* ---- backends -------------------------------------------------------------
 *
 * The listener of a device with a backend is told of VMM_BLOCK_WORK and takes
 * requests until there are no more, finishes them in any order, on any thread.
 * A reset waits for none of them: what is finished later finds nothing.
 */

/* No request moves more; the driver is told so. */
#define VMM_BLOCK_WORK_BYTES (4u << 20)
/* More than these are not taken at a time: what is finished makes room. */
#define VMM_BLOCK_TAKEN_BYTES (16u << 20)

struct vmm_block_work {
    uint64_t id;
    enum vmm_block_op op;
    /* The driver believes that it is on stable storage when it is finished. */
    bool durable;
    uint64_t offset, len; /* of reads and writes */
    struct vmm_block_range ranges[VMM_BLOCK_RANGES_MAX]; /* of the others */
    unsigned range_count;
};

/* False: there is none, or no room. */
VMM_API bool vmm_virtio_block_take(struct vmm_virtio *virtio,
                                   struct vmm_block_work *work);
/* A copy of what is to be written, len bytes: all of it.  -ENOENT; -EINVAL:
 * not its length, or nothing is to be written. */
VMM_API int vmm_virtio_block_data(struct vmm_virtio *virtio, uint64_t id,
                                  void *bytes, size_t len);
/* status: VIRTIO_BLK_S_*.  bytes, len: of a read that is _OK, all of it.
 * -ENOENT; -EINVAL: not its length. */
VMM_API int vmm_virtio_block_finish(struct vmm_virtio *virtio, uint64_t id,
                                    uint8_t status, const void *bytes,
                                    size_t len);

#endif
