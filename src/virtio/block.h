/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The insides of the block device: its file, and what is done to that. */
#ifndef VMM_VIRTIO_BLOCK_IMPL_H
#define VMM_VIRTIO_BLOCK_IMPL_H

#include <linux/virtio_blk.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include <vmm/virtio_block.h>

#include "virtio/limit.h"

#define SECTOR_BYTES 512u

/* ---- the file: block_file.c -----------------------------------------------
 */

struct block_file {
    int fd; /* locked; -1: none */
    bool block_device, read_only, direct;
    uint32_t logical_bytes; /* the smallest unit of I/O: 512 or more */
    uint32_t physical_bytes;
    uint64_t size; /* a multiple of logical_bytes; under the device's lock */
    char *path;    /* for messages */
};

int block_file_open(const struct vmm_virtio_block_config *config,
                    struct block_file *file, struct vmm_error *err);
void block_file_close(struct block_file *file);
/* Its length now; -EINVAL when it is no multiple of logical_bytes. */
int block_file_measure(const struct block_file *file, uint64_t *size,
                       struct vmm_error *err);
int block_file_truncate(const struct block_file *file, uint64_t size,
                        struct vmm_error *err);

/* ---- one thing to do: block_io.c ------------------------------------------
 */

/* It is one engine's from submit to reap, and nobody else's. */
struct block_io {
    enum vmm_block_op op;
    bool durable; /* on stable storage before it is done */
    /* To read and write: where in the file, and the guest's memory.  What is
     * done already is taken off. */
    uint64_t offset, len;
    struct iovec *pieces; /* the allocation; of room pieces */
    int first, count, room;
    /* To discard and to write zeroes. */
    struct vmm_block_range ranges[VMM_BLOCK_RANGES_MAX];
    unsigned range_count;

    int result; /* 0 or -errno */
    bool rest;  /* of an engine that is not up to all of it */
    struct block_io *next;
};

/* Do it, or what is left of it: 0 or -errno. */
int block_io_perform(const struct block_file *file, struct block_io *io);
/* Take bytes off that have been moved; true: none are left. */
bool block_io_advance(struct block_io *io, uint64_t bytes);
/* May the file be read and written straight from these pieces? */
bool block_io_is_aligned(const struct block_file *file,
                         const struct block_io *io);

/* ---- engines --------------------------------------------------------------
 *
 * Both raise done_fd, an eventfd, when there is something to reap; reap gives a
 * list, or NULL.  After a drain nothing is in flight: what was, waits to be
 * reaped.  The device's lock is held for all calls but new and free.
 */

struct block_threads;
int block_threads_new(const struct block_file *file, int done_fd,
                      struct block_threads **threads, struct vmm_error *err);
/* Drained.  May be NULL. */
void block_threads_free(struct block_threads *threads);
void block_threads_submit(struct block_threads *threads, struct block_io *io);
struct block_io *block_threads_reap(struct block_threads *threads);
/* What has not begun ends with -ECANCELED. */
void block_threads_drain(struct block_threads *threads);

struct block_uring;
/* depth: of requests in flight.  An error: this host has no io_uring for us. */
int block_uring_new(const struct block_file *file, int done_fd, unsigned depth,
                    struct block_uring **uring);
/* Drained.  May be NULL. */
void block_uring_free(struct block_uring *uring);
/* False: not for this engine, or not now.  It begins with the next flush. */
bool block_uring_submit(struct block_uring *uring, struct block_io *io);
/* False: the kernel could not take all; try again. */
bool block_uring_flush(struct block_uring *uring);
/* With rest set: the threads have to do what is left. */
struct block_io *block_uring_reap(struct block_uring *uring);
void block_uring_drain(struct block_uring *uring);
unsigned block_uring_in_flight(const struct block_uring *uring);

/* ---- the device: block.c, block_new.c -------------------------------------
 */

#define BLOCK_QUEUE_SIZE 256

/* Up to this by one request (in 512-byte sectors a range). */
#define BLOCK_DISCARD_SECTORS (1u << 22)
#define BLOCK_ZEROES_SECTORS  (1u << 15)

struct block_request {
    struct block_io io;
    struct vmm_chain *chain;
    unsigned queue;
    /* What is decided about it, by faults. */
    uint8_t status; /* to be answered; VIRTIO_BLK_S_OK: it is carried out */
    uint64_t delay_ns;
    unsigned fault; /* which delays it; 0: none that has a number */
    /* While it is held, or somebody else's. */
    TAILQ_ENTRY(block_request) link;
    uint64_t id, due_ns;
};
TAILQ_HEAD(block_list, block_request);

static inline struct block_request *block_find(const struct block_list *list,
                                               uint64_t id)
{
    struct block_request *request;

    TAILQ_FOREACH(request, list, link)
    if (request->id == id)
        break;
    return request;
}

struct block_fault {
    SLIST_ENTRY(block_fault) link;
    unsigned id;
    struct vmm_block_fault what;
    uint64_t matches, hits;
};

struct block {
    struct vmm_virtio virtio;
    struct block_file file; /* of a backend, only its size */
    char serial[VMM_VIRTIO_BLOCK_SERIAL_BYTES];
    bool write_back; /* what the driver has chosen by VIRTIO_BLK_F_CONFIG_WCE */
    struct block_uring *uring; /* NULL: threads do everything */
    struct block_threads *threads;
    int done_fd;
    struct vmm_watch *done_watch;
    struct block_io *free; /* requests to be used again */

    /* What is told, and does requests when there is no file. */
    struct vmm_block_listener listener;
    struct vmm_block_backend backend;
    bool has_backend;
    struct block_list waiting, taken; /* for it, and by it */
    uint64_t taken_bytes;

    struct limit limit;
    struct vmm_limit limit_set;
    struct vmm_timer *limit_timer; /* NULL: it is closed */
    unsigned limit_turn;           /* the timer's: who is the first now */

    SLIST_HEAD(, block_fault) faults; /* the oldest first */
    unsigned last_fault;
    bool asking; /* the listener decides about each request */
    struct block_list asked, deciding, delayed; /* the last one by due_ns */
    struct vmm_timer *delay_timer;              /* NULL: it is closed */
    bool has_to_retry; /* the kernel has not taken all that was due */
    uint64_t last_id;
};

extern const struct vmm_virtio_ops block_ops;

static inline struct block *block_of(struct vmm_virtio *virtio)
{
    return (struct block *)virtio;
}

/* ---- what it offers: block_config.c ---------------------------------------
 */

/* The configuration ends where a feature that is not offered begins. */
#define BLOCK_CONFIG_BYTES                                                     \
    offsetof(struct virtio_blk_config, max_secure_erase_sectors)

uint64_t block_features(const struct vmm_virtio_block_config *config);
void block_read_config(struct vmm_virtio *virtio, uint32_t offset, void *bytes,
                       uint32_t len);
void block_write_config(struct vmm_virtio *virtio, uint32_t offset,
                        const void *bytes, uint32_t len);

/* ---- its requests: block_request.c ----------------------------------------
 */

/* Check the request in a chain and prepare its io.  VIRTIO_BLK_S_OK: it is to
 * be carried out if wanted is true, and is answered else; or another status. */
uint8_t block_request_parse(struct block *block, struct block_request *request,
                            bool *wanted);
/* Give its chain back with this status. */
void block_request_answer(struct block *block, struct block_request *request,
                          uint8_t status);

/* Its first sector and how many, of its first range; a flush has none. */
void block_request_sectors(const struct block_request *request,
                           uint64_t *sector, uint64_t *sectors);

/* What is decided about a request happens; it is not held by anybody.  True: it
 * has been answered. */
bool block_proceed(struct block *block, struct block_request *request);
/* The last of an answered request, or of one that is given up. */
void block_give(struct block *block, struct block_request *request);
/* Those that proceed on their own are carried out; returns a bit for each queue
 * in which there is news.  *all: false when the kernel could not take all. */
uint64_t block_flush_and_reap(struct block *block, bool *all);
void block_signal(struct block *block, uint64_t queues);
/* The eventfd: something may be reaped. */
void block_on_done(void *context, uint32_t events);

/* ---- faults and delays: block_fault.c, block_delay.c ----------------------
 */

/* Count the request, and decide about it. */
void block_faults_judge(struct block *block, struct block_request *request);
void block_faults_free(struct block *block);
/* A decision is put off, or what follows from it: true, and on the loop's
 * thread the request will proceed. */
bool block_hold(struct block *block, struct block_request *request);
/* Have it proceed after its delay. */
void block_delay(struct block *block, struct block_request *request);
/* Have all proceed that this fault delays. */
void block_hurry(struct block *block, unsigned fault);
void block_on_delay(void *context);

/* ---- a backend of somebody else's: block_backend.c ------------------------
 */

/* True: it has been answered at once. */
bool block_backend_submit(struct block *block, struct block_request *request);

/* ---- limits: block_limit.c ------------------------------------------------
 */

/* Nothing more may be begun now; the timer has the queues served again. */
bool block_limit_reached(struct block *block);
void block_limit_charge(struct block *block,
                        const struct block_request *request, bool wanted);
void block_on_limit(void *context);

#endif
