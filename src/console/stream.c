/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Moves bytes between fds and the console's rings, as fast as each allows. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/fd.h"
#include "console/console.h"
#include "console/stream.h"

#define READ_BYTES 4096

struct vmm_stream {
    struct vmm_console *console;
    struct vmm_stream *next;
    struct vmm_console_stream config;

    struct vmm_fd in;
    struct vmm_watch *in_watch;
    bool in_held;    /* paused for want of room */
    bool in_escaped; /* the last byte read was the escape byte */
    bool in_ended;   /* to be reported */

    struct vmm_fd out;
    struct vmm_watch *out_watch;
    uint64_t out_position; /* all output before it is written */
    int out_ended;         /* to be reported: errno value */
};

/* ---- source ------------------------------------------------------------- */

static void end_input(struct vmm_stream *stream)
{
    vmm_watch_remove(stream->in_watch);
    stream->in_watch = NULL;
    vmm_fd_close(&stream->in);
    stream->in_ended = true;
}

/* Take escape sequences out of bytes; their keys go to keys.  Returns the
 * number of bytes left, *keys_len that of the keys. */
static size_t filter_escapes(struct vmm_stream *stream, uint8_t *bytes,
                             size_t len, uint8_t *keys, size_t *keys_len)
{
    size_t kept = 0;

    *keys_len = 0;
    if (stream->config.escape < 0)
        return len;
    for (size_t i = 0; i < len; i++) {
        bool is_escape = bytes[i] == stream->config.escape;

        if (!stream->in_escaped && is_escape) {
            stream->in_escaped = true;
            continue;
        }
        if (stream->in_escaped && !is_escape)
            keys[(*keys_len)++] = bytes[i];
        else
            bytes[kept++] = bytes[i];
        stream->in_escaped = false;
    }
    return kept;
}

/* Read once into the ring; no more than fits.  Returns the bytes added. */
static size_t read_source(struct vmm_stream *stream, uint8_t *keys,
                          size_t *keys_len)
{
    struct vmm_console *console = stream->console;
    uint8_t bytes[READ_BYTES];
    ssize_t len = -EAGAIN;
    size_t room, kept = 0;

    pthread_mutex_lock(&console->in_lock);
    room = vmm_ring_room(&console->in);
    if (room > sizeof(bytes))
        room = sizeof(bytes);
    if (room)
        len = vmm_fd_read(&stream->in, bytes, room);
    if (len > 0) {
        kept = filter_escapes(stream, bytes, (size_t)len, keys, keys_len);
        vmm_ring_write(&console->in, bytes, kept);
    }
    pthread_mutex_unlock(&console->in_lock);

    if (!room) {
        stream->in_held = true;
        vmm_watch_modify(stream->in_watch, 0);
        vmm_console_want_room(console);
    } else if (len <= 0 && len != -EAGAIN) {
        end_input(stream);
    }
    return kept;
}

static void source_ready(void *context, uint32_t events)
{
    struct vmm_stream *stream = context;
    struct vmm_console *console = stream->console;
    struct vmm_console_stream config = stream->config;
    uint8_t keys[READ_BYTES];
    size_t added = 0, keys_len = 0;

    (void)events; /* an end and an error show in the read */
    pthread_mutex_lock(&console->lock);
    if (!console->closing && stream->in_watch)
        added = read_source(stream, keys, &keys_len);
    pthread_mutex_unlock(&console->lock);

    if (added)
        vmm_console_input_arrived(console);
    for (size_t i = 0; i < keys_len && config.on_escape; i++)
        config.on_escape(config.context, keys[i]);
    vmm_streams_report(console);
}

void vmm_streams_resume(struct vmm_console *console)
{
    struct vmm_stream *stream;

    for (stream = console->streams; stream; stream = stream->next) {
        if (stream->in_held && stream->in_watch)
            vmm_watch_modify(stream->in_watch, EPOLLIN);
        stream->in_held = false;
    }
}

/* ---- sink --------------------------------------------------------------- */

static void end_output(struct vmm_stream *stream, int code)
{
    vmm_watch_remove(stream->out_watch);
    stream->out_watch = NULL;
    vmm_fd_close(&stream->out);
    stream->out_ended = code;
}

/* Until the sink blocks, fails or has all before end. */
static void write_sink(struct vmm_stream *stream, uint64_t end)
{
    const struct vmm_ring *ring = &stream->console->out;
    ssize_t len = 1;

    while (len > 0 && stream->out_position < end) {
        const uint8_t *bytes;
        size_t piece = vmm_ring_view(ring, stream->out_position, end, &bytes);

        len = vmm_fd_write(&stream->out, bytes, piece);
        if (len > 0)
            stream->out_position += (uint64_t)len;
    }
    if (len < 0 && len != -EAGAIN)
        end_output(stream, (int)-len);
    else if (stream->out_watch) /* else: closing */
        vmm_watch_modify(stream->out_watch,
                         stream->out_position < end ? EPOLLOUT : EPOLLHUP);
}

uint64_t vmm_streams_write(struct vmm_console *console, uint64_t end)
{
    struct vmm_stream *stream;
    uint64_t slowest = end;

    for (stream = console->streams; stream; stream = stream->next) {
        if (stream->out.fd >= 0)
            write_sink(stream, end);
        if (stream->out.fd >= 0 && stream->out_position < slowest)
            slowest = stream->out_position;
    }
    return slowest;
}

/* It takes bytes again, or its other side has gone (EPOLLHUP for sockets and
 * terminals, EPOLLERR for pipes). */
static void sink_ready(void *context, uint32_t events)
{
    struct vmm_stream *stream = context;
    struct vmm_console *console = stream->console;

    pthread_mutex_lock(&console->lock);
    if (!console->closing && stream->out_watch &&
        events & (EPOLLHUP | EPOLLERR))
        end_output(stream, EPIPE);
    pthread_mutex_unlock(&console->lock);
    vmm_console_drain(console);
}

/* ---- streams ------------------------------------------------------------ */

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
    } while (more);
}

static void remove_watches(struct vmm_stream *stream)
{
    vmm_watch_remove(stream->in_watch);
    vmm_watch_remove(stream->out_watch);
    stream->in_watch = stream->out_watch = NULL;
}

void vmm_streams_close(struct vmm_console *console)
{
    struct vmm_stream *stream;

    while ((stream = console->streams)) {
        console->streams = stream->next;
        pthread_mutex_unlock(&console->lock);
        remove_watches(stream);
        if (stream->out.fd >= 0)
            write_sink(stream, vmm_ring_written(&console->out));
        vmm_fd_close(&stream->in);
        vmm_fd_close(&stream->out);
        free(stream);
        pthread_mutex_lock(&console->lock);
    }
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
        ret = vmm_loop_watch(loop, stream->out.fd, EPOLLHUP, sink_ready, stream,
                             &stream->out_watch, err);
    if (ret == 0 && stream->in.fd >= 0)
        ret = vmm_loop_watch(loop, stream->in.fd, EPOLLIN, source_ready, stream,
                             &stream->in_watch, err);
    return ret;
}

/* Leave the fds that the caller goes on owning. */
static void abandon(struct vmm_stream *stream)
{
    pthread_mutex_unlock(&stream->console->lock);
    remove_watches(stream);
    if (stream->in.fd != stream->config.in_fd)
        vmm_fd_close(&stream->in);
    if (stream->out.fd != stream->config.out_fd)
        vmm_fd_close(&stream->out);
    free(stream);
}

int vmm_console_attach(struct vmm_console *console,
                       const struct vmm_console_stream *config,
                       struct vmm_error *err)
{
    struct vmm_stream *stream;
    int ret;

    vmm_error_clear(err);
    if (config->escape < -1 || config->escape > 255)
        return vmm_error_set(err, EINVAL,
                             "escape byte %d is not -1 (none) or 0 to 255",
                             config->escape);
    if (config->in_fd < 0 && config->out_fd < 0)
        return vmm_error_set(err, EINVAL, "no fd to attach to the console");
    stream = calloc(1, sizeof(*stream));
    if (!stream)
        return vmm_error_set(err, ENOMEM, "no memory for a console stream");
    stream->console = console;
    stream->config = *config;
    stream->in.fd = stream->out.fd = -1;

    /* The callbacks wait for the lock. */
    pthread_mutex_lock(&console->lock);
    stream->out_position = vmm_ring_written(&console->out);
    ret = open_ends(stream, err);
    if (ret == 0)
        ret = watch_ends(stream, err);
    if (ret < 0) {
        abandon(stream);
        return ret;
    }
    stream->next = console->streams;
    console->streams = stream;
    pthread_mutex_unlock(&console->lock);
    return 0;
}
