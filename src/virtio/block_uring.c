/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A block device's reads, writes and flushes by io_uring. */
#include <errno.h>
#include <liburing.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "base/arith.h"
#include "virtio/block.h"

#define ENTRIES_MAX 4096u

struct block_uring {
    struct io_uring ring;
    const struct block_file *file;
    unsigned in_flight; /* to be submitted, or submitted and not reaped */
    unsigned prepared;  /* of those: to be submitted */
};

int block_uring_new(const struct block_file *file, int done_fd, unsigned depth,
                    struct block_uring **result)
{
    struct block_uring *uring = *result = calloc(1, sizeof(*uring));

    if (!uring)
        return -ENOMEM;
    uring->file = file;
    int rc = io_uring_queue_init((unsigned)min_u64(depth, ENTRIES_MAX),
                                 &uring->ring, 0);
    if (rc == 0) {
        rc = io_uring_register_eventfd(&uring->ring, done_fd);
        if (rc)
            io_uring_queue_exit(&uring->ring);
    }
    if (rc) {
        free(uring);
        *result = NULL;
    }
    return rc;
}

void block_uring_free(struct block_uring *uring)
{
    if (!uring)
        return;
    io_uring_queue_exit(&uring->ring);
    free(uring);
}

static bool prepare(const struct block_uring *uring, struct io_uring_sqe *sqe,
                    const struct block_io *io)
{
    int fd = uring->file->fd;
    /* A flush may have none at all. */
    const struct iovec *pieces = io->pieces ? io->pieces + io->first : NULL;
    unsigned count = (unsigned)(io->count - io->first);

    switch (io->op) {
    case VMM_BLOCK_READ:
        io_uring_prep_readv(sqe, fd, pieces, count, io->offset);
        return true;
    case VMM_BLOCK_WRITE:
        io_uring_prep_writev2(sqe, fd, pieces, count, io->offset,
                              io->durable ? RWF_DSYNC : 0);
        return true;
    case VMM_BLOCK_FLUSH:
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
        return true;
    case VMM_BLOCK_DISCARD:
    case VMM_BLOCK_WRITE_ZEROES:
        break;
    }
    return false;
}

/* Several calls may be needed to do the others well, and a copy where buffers
 * are not aligned. */
static bool is_for_us(const struct block_uring *uring,
                      const struct block_io *io)
{
    if (io->op == VMM_BLOCK_FLUSH)
        return true;
    return (io->op == VMM_BLOCK_READ || io->op == VMM_BLOCK_WRITE) &&
           io->count - io->first <= IOV_MAX &&
           block_io_is_aligned(uring->file, io);
}

bool block_uring_submit(struct block_uring *uring, struct block_io *io)
{
    struct io_uring_sqe *sqe;

    if (!is_for_us(uring, io))
        return false;
    sqe = io_uring_get_sqe(&uring->ring);
    if (!sqe) {
        block_uring_flush(uring);
        sqe = io_uring_get_sqe(&uring->ring);
    }
    if (!sqe || !prepare(uring, sqe, io))
        return false;
    io_uring_sqe_set_data(sqe, io);
    uring->in_flight++;
    uring->prepared++;
    return true;
}

/* What the kernel does not take now stays prepared. */
bool block_uring_flush(struct block_uring *uring)
{
    if (!uring->prepared)
        return true;
    int taken = io_uring_submit(&uring->ring);
    if (taken > 0)
        uring->prepared -= (unsigned)taken;
    return uring->prepared == 0;
}

/* What a completion means; the rest of a short one is the threads'. */
static void conclude(struct block_io *io, int result)
{
    io->rest = result == -EAGAIN || result == -EINTR;
    if (result < 0)
        io->result = result;
    else if (io->op == VMM_BLOCK_FLUSH)
        io->result = 0;
    else if (result == 0 && io->len)
        io->result = -ENODATA; /* the file has become shorter */
    else
        io->rest = !block_io_advance(io, (uint64_t)result);
}

struct block_io *block_uring_reap(struct block_uring *uring)
{
    struct block_io *list = NULL, **end = &list;
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
        struct block_io *io = io_uring_cqe_get_data(cqe);

        io->result = 0;
        conclude(io, cqe->res);
        io_uring_cqe_seen(&uring->ring, cqe);
        uring->in_flight--;
        io->next = NULL;
        *end = io;
        end = &io->next;
    }
    /* Now there is room again. */
    block_uring_flush(uring);
    return list;
}

unsigned block_uring_in_flight(const struct block_uring *uring)
{
    return uring->in_flight;
}

/* Completions are counted, not consumed: reap does that. */
void block_uring_drain(struct block_uring *uring)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    while (io_uring_cq_ready(&uring->ring) < uring->in_flight) {
        int taken = io_uring_submit_and_wait(&uring->ring, uring->in_flight);
        if (taken > 0)
            uring->prepared -= (unsigned)taken;
        else if (taken < 0 && taken != -EINTR)
            nanosleep(&pause, NULL); /* no memory, say */
    }
}
