/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Streams come, report what ended, and go. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "console/console.h"
#include "console/stream.h"

/* ---- ends --------------------------------------------------------------- */

static bool has_report(const struct vmm_stream *stream)
{
    return stream->in_ended || stream->out_ended ||
           (stream->in.fd < 0 && stream->out.fd < 0);
}

/* Take the news of one stream; false when there are none.  A stream that is
 * over is unlinked and freed. */
static bool take_report(struct vmm_console *console, struct vmm_stream *news)
{
    struct vmm_stream **link = &console->streams;
    struct vmm_stream *stream;

    while (*link && !has_report(*link))
        link = &(*link)->next;
    stream = *link;
    if (!stream)
        return false;
    *news = *stream;
    stream->in_ended = false;
    stream->out_ended = 0;
    if (stream->in.fd < 0 && stream->out.fd < 0) {
        *link = stream->next;
        free(stream);
    } else {
        news->gone = NULL;
    }
    return true;
}

void vmm_streams_report(struct vmm_console *console)
{
    struct vmm_stream news;
    bool more;

    do {
        pthread_mutex_lock(&console->lock);
        more = !console->closing && take_report(console, &news);
        pthread_mutex_unlock(&console->lock);
        if (more && news.in_ended && news.config.on_input_end)
            news.config.on_input_end(news.config.context);
        if (more && news.out_ended && news.config.on_output_end)
            news.config.on_output_end(news.config.context, news.out_ended);
        if (more && news.gone)
            news.gone(news.gone_context);
    } while (more);
}

static void remove_watches(struct vmm_stream *stream)
{
    vmm_timer_remove(stream->in_timer);
    vmm_watch_remove(stream->in_watch);
    vmm_watch_remove(stream->out_watch);
    stream->in_timer = NULL;
    stream->in_watch = stream->out_watch = NULL;
}

bool vmm_streams_begin_call(struct vmm_console *console)
{
    bool open;

    pthread_mutex_lock(&console->lock);
    open = console->calling = !console->closing;
    pthread_mutex_unlock(&console->lock);
    return open;
}

void vmm_streams_end_call(struct vmm_console *console)
{
    pthread_mutex_lock(&console->lock);
    console->calling = false;
    pthread_cond_broadcast(&console->progress);
    pthread_mutex_unlock(&console->lock);
}

static void await_call(struct vmm_console *console)
{
    pthread_mutex_lock(&console->lock);
    while (console->calling)
        pthread_cond_wait(&console->progress, &console->lock);
    pthread_mutex_unlock(&console->lock);
}

/* The next stream, unlinked; NULL when none is left. */
static struct vmm_stream *pop(struct vmm_console *console)
{
    struct vmm_stream *stream;

    pthread_mutex_lock(&console->lock);
    stream = console->streams;
    if (stream)
        console->streams = stream->next;
    pthread_mutex_unlock(&console->lock);
    return stream;
}

void vmm_streams_close(struct vmm_console *console)
{
    struct vmm_stream *stream;

    while ((stream = pop(console))) {
        remove_watches(stream);
        if (stream->out.fd >= 0)
            vmm_sink_write(stream, vmm_ring_written(&console->out));
        vmm_fd_close(&stream->in);
        vmm_fd_close(&stream->out);
        free(stream);
    }
    await_call(console);
}

/* ---- attach ------------------------------------------------------------- */

/* One fd for both ways is watched under two numbers. */
static int open_ends(struct vmm_stream *stream, struct vmm_error *err)
{
    int in = stream->config.in_fd;
    int out = stream->config.out_fd;
    bool owns = stream->config.owns;
    int ret = 0;

    if (in >= 0)
        ret = vmm_fd_use(&stream->in, in, owns, false);
    if (ret < 0)
        return vmm_error_set(err, -ret, "cannot read input from fd %d: %s", in,
                             strerror(-ret));
    if (out >= 0)
        ret = vmm_fd_use(&stream->out, out, owns && out != in, true);
    if (ret < 0)
        return vmm_error_set(err, -ret, "cannot write output to fd %d: %s", out,
                             strerror(-ret));
    return 0;
}

/* The source last: once it is watched its bytes are taken. */
static int watch_ends(struct vmm_stream *stream, struct vmm_error *err)
{
    struct vmm_loop *loop = stream->console->loop;
    int ret = 0;

    if (stream->out.fd >= 0)
        ret = vmm_loop_watch(loop, stream->out.fd, EPOLLHUP, vmm_sink_ready,
                             stream, &stream->out_watch, err);
    if (ret == 0 && stream->in.fd >= 0)
        ret = vmm_loop_watch(loop, stream->in.fd, EPOLLIN, vmm_source_ready,
                             stream, &stream->in_watch, err);
    if (stream->in_watch && stream->console->in_held)
        vmm_watch_modify(stream->in_watch, 0);
    return ret;
}

static int check_config(const struct vmm_console_stream *config,
                        struct vmm_error *err)
{
    if (config->escape < -1 || config->escape > 255)
        return vmm_error_set(err, EINVAL,
                             "escape byte %d is not -1 (none) or 0 to 255",
                             config->escape);
    if (config->in_fd < 0 && config->out_fd < 0)
        return vmm_error_set(err, EINVAL, "no fd to attach to the console");
    return 0;
}

/* With the lock, for which its callbacks wait. */
static int open_and_link(struct vmm_stream *stream, struct vmm_error *err)
{
    struct vmm_console *console = stream->console;
    int ret;

    if (console->closing)
        return vmm_error_set(err, ECANCELED, "the console is being closed");
    stream->out_position = vmm_ring_written(&console->out);
    ret = open_ends(stream, err);
    if (ret == 0)
        ret = watch_ends(stream, err);
    if (ret == 0) {
        stream->next = console->streams;
        console->streams = stream;
    }
    return ret;
}

/* Leave the fds that the caller goes on owning. */
static void abandon(struct vmm_stream *stream)
{
    remove_watches(stream);
    if (stream->in.fd != stream->config.in_fd)
        vmm_fd_close(&stream->in);
    if (stream->out.fd != stream->config.out_fd)
        vmm_fd_close(&stream->out);
    free(stream);
}

int vmm_stream_add(struct vmm_console *console,
                   const struct vmm_console_stream *config,
                   void (*gone)(void *context), void *context,
                   struct vmm_error *err)
{
    struct vmm_stream *stream;
    int ret = check_config(config, err);

    if (ret < 0)
        return ret;
    stream = calloc(1, sizeof(*stream));
    if (!stream)
        return vmm_error_set(err, ENOMEM, "no memory for a console stream");
    stream->console = console;
    stream->config = *config;
    stream->gone = gone;
    stream->gone_context = context;
    stream->in.fd = stream->out.fd = -1;

    pthread_mutex_lock(&console->lock);
    ret = open_and_link(stream, err);
    pthread_mutex_unlock(&console->lock);
    if (ret < 0)
        abandon(stream);
    return ret;
}

int vmm_console_attach(struct vmm_console *console,
                       const struct vmm_console_stream *stream,
                       struct vmm_error *err)
{
    vmm_error_clear(err);
    return vmm_stream_add(console, stream, NULL, NULL, err);
}
