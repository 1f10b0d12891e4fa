/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A few threads that do a block device's requests, each one at a time. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "virtio/block.h"

#define THREADS_MAX 4

struct list {
    struct block_io *first, **end;
};

struct block_threads {
    const struct block_file *file;
    int done_fd;
    pthread_t threads[THREADS_MAX];
    unsigned count; /* started, when there was more to do than threads */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work;  /* there is some, or no more to come */
    pthread_cond_t idle;  /* nothing runs */
    struct list queued, done;
    unsigned running;
    unsigned waiting; /* threads */
    bool ending;
};

static void list_clear(struct list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void list_add(struct list *list, struct block_io *io)
{
    io->next = NULL;
    *list->end = io;
    list->end = &io->next;
}

static struct block_io *list_take(struct list *list)
{
    struct block_io *io = list->first;

    if (io && !(list->first = io->next))
        list->end = &list->first;
    return io;
}

/* ---- a thread -------------------------------------------------------------
 */

/* Lock held, but not during the request. */
static void do_next(struct block_threads *threads)
{
    struct block_io *io = list_take(&threads->queued);

    threads->running++;
    pthread_mutex_unlock(&threads->lock);
    io->result = block_io_perform(threads->file, io);
    pthread_mutex_lock(&threads->lock);
    list_add(&threads->done, io);
    if (--threads->running == 0)
        pthread_cond_broadcast(&threads->idle);
    eventfd_write(threads->done_fd, 1);
}

static void *run(void *context)
{
    struct block_threads *threads = context;

    pthread_setname_np(pthread_self(), "vmm-block");
    pthread_mutex_lock(&threads->lock);
    while (!threads->ending) {
        if (threads->queued.first) {
            do_next(threads);
            continue;
        }
        threads->waiting++;
        pthread_cond_wait(&threads->work, &threads->lock);
        threads->waiting--;
    }
    pthread_mutex_unlock(&threads->lock);
    return NULL;
}

/* With all signals blocked in the new thread.  Lock held. */
static void add_thread(struct block_threads *threads)
{
    sigset_t all, old;

    if (threads->count == THREADS_MAX)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (!pthread_create(&threads->threads[threads->count], NULL, run, threads))
        threads->count++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ---- for the device -------------------------------------------------------
 */

int block_threads_new(const struct block_file *file, int done_fd,
                      struct block_threads **result, struct vmm_error *err)
{
    struct block_threads *threads = *result = calloc(1, sizeof(*threads));

    if (!threads)
        return vmm_error_set(err, ENOMEM, "%s: out of memory", file->path);
    threads->file = file;
    threads->done_fd = done_fd;
    list_clear(&threads->queued);
    list_clear(&threads->done);
    pthread_mutex_init(&threads->lock, NULL);
    pthread_cond_init(&threads->work, NULL);
    pthread_cond_init(&threads->idle, NULL);
    return 0;
}

void block_threads_free(struct block_threads *threads)
{
    if (!threads)
        return;
    pthread_mutex_lock(&threads->lock);
    threads->ending = true;
    pthread_cond_broadcast(&threads->work);
    pthread_mutex_unlock(&threads->lock);
    for (unsigned i = 0; i < threads->count; i++)
        pthread_join(threads->threads[i], NULL);
    pthread_cond_destroy(&threads->idle);
    pthread_cond_destroy(&threads->work);
    pthread_mutex_destroy(&threads->lock);
    free(threads);
}

void block_threads_submit(struct block_threads *threads, struct block_io *io)
{
    pthread_mutex_lock(&threads->lock);
    if (threads->waiting == 0)
        add_thread(threads);
    if (threads->count == 0) {
        /* The host gives no thread at all. */
        io->result = -EAGAIN;
        list_add(&threads->done, io);
        eventfd_write(threads->done_fd, 1);
    } else {
        list_add(&threads->queued, io);
        pthread_cond_signal(&threads->work);
    }
    pthread_mutex_unlock(&threads->lock);
}

struct block_io *block_threads_reap(struct block_threads *threads)
{
    pthread_mutex_lock(&threads->lock);
    struct block_io *list = threads->done.first;
    list_clear(&threads->done);
    pthread_mutex_unlock(&threads->lock);
    return list;
}

void block_threads_drain(struct block_threads *threads)
{
    struct block_io *io;

    pthread_mutex_lock(&threads->lock);
    while ((io = list_take(&threads->queued))) {
        io->result = -ECANCELED;
        list_add(&threads->done, io);
    }
    while (threads->running)
        pthread_cond_wait(&threads->idle, &threads->lock);
    pthread_mutex_unlock(&threads->lock);
}
