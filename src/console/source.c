/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The sources: input is read only while the console's ring has room for it. */
#include <errno.h>
#include <sys/epoll.h>

#include "console/console.h"
#include "console/stream.h"

#define READ_BYTES 4096

/* How often to look whether a job has come to the foreground again. */
#define FOREGROUND_NS UINT64_C(100000000)

static void end_input(struct vmm_stream *stream)
{
    vmm_watch_remove(stream->in_watch);
    vmm_timer_remove(stream->in_timer);
    stream->in_watch = NULL;
    stream->in_timer = NULL;
    vmm_fd_close(&stream->in);
    stream->in_ended = true;
}

/* Read on, unless nothing is to be read now. */
static void resume(struct vmm_stream *stream)
{
    if (stream->in_watch && !stream->console->in_held)
        vmm_watch_modify(stream->in_watch, EPOLLIN);
}

static void look_again(void *context)
{
    struct vmm_stream *stream = context;

    pthread_mutex_lock(&stream->console->lock);
    if (!stream->console->closing)
        resume(stream);
    pthread_mutex_unlock(&stream->console->lock);
}

/* The terminal's input is for another job now.  False when it can't be
 * waited for. */
static bool await_foreground(struct vmm_stream *stream)
{
    if (!stream->in_timer &&
        vmm_loop_timer(stream->console->loop, look_again, stream,
                       &stream->in_timer, NULL) < 0)
        return false;
    vmm_watch_modify(stream->in_watch, 0);
    return vmm_timer_set(stream->in_timer, FOREGROUND_NS, 0) == 0;
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

/* What it means that a read gave no bytes. */
static void check_end(struct vmm_stream *stream, ssize_t len)
{
    if (len == -EAGAIN)
        return;
    if (len == -EIO && vmm_fd_in_background(&stream->in) &&
        await_foreground(stream))
        return;
    end_input(stream);
}

/* Read once into the ring; no more than fits.  Returns the bytes added. */
static size_t read_source(struct vmm_stream *stream, uint8_t *keys,
                          size_t *keys_len)
{
    struct vmm_console *console = stream->console;
    uint8_t bytes[READ_BYTES];
    ssize_t len = 0;
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
    } else if (len <= 0) {
        check_end(stream, len);
    }
    return kept;
}

void vmm_source_ready(void *context, uint32_t events)
{
    struct vmm_stream *stream = context;
    struct vmm_console *console = stream->console;
    struct vmm_console_stream config = stream->config;
    uint8_t keys[READ_BYTES];
    size_t added = 0, keys_len = 0;

    (void)events; /* an end and an error show in the read */
    if (!vmm_streams_begin_call(console))
        return;
    pthread_mutex_lock(&console->lock);
    if (!console->closing && !console->in_held && stream->in_watch)
        added = read_source(stream, keys, &keys_len);
    pthread_mutex_unlock(&console->lock);

    if (added)
        vmm_console_input_arrived(console);
    for (size_t i = 0; i < keys_len && config.on_escape; i++)
        config.on_escape(config.context, keys[i]);
    vmm_streams_report(console);
    vmm_streams_end_call(console);
}

void vmm_streams_resume(struct vmm_console *console)
{
    struct vmm_stream *stream;

    for (stream = console->streams; stream; stream = stream->next) {
        if (stream->in_held)
            resume(stream);
        stream->in_held = false;
    }
}

void vmm_console_hold_input(struct vmm_console *console, bool hold)
{
    struct vmm_stream *stream;

    pthread_mutex_lock(&console->lock);
    console->in_held = hold;
    for (stream = console->streams; stream; stream = stream->next) {
        if (hold && stream->in_watch)
            vmm_watch_modify(stream->in_watch, 0);
        else
            resume(stream);
    }
    pthread_mutex_unlock(&console->lock);
}
