/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The sinks: each writes from the console's ring at its own pace. */
#include <errno.h>
#include <sys/epoll.h>

#include "console/console.h"
#include "console/stream.h"

static void end_output(struct vmm_stream *stream, int code)
{
    vmm_watch_remove(stream->out_watch);
    stream->out_watch = NULL;
    vmm_fd_close(&stream->out);
    stream->out_ended = code;
}

void vmm_sink_write(struct vmm_stream *stream, uint64_t end)
{
    const struct vmm_ring *ring = &stream->console->out;
    ssize_t len = 1;

    if (stream->console->out_held)
        stream->out_position = end;
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
            vmm_sink_write(stream, end);
        if (stream->out.fd >= 0 && stream->out_position < slowest)
            slowest = stream->out_position;
    }
    return slowest;
}

/* EPOLLHUP comes from sockets and terminals, EPOLLERR from pipes, when the
 * other side has gone. */
void vmm_sink_ready(void *context, uint32_t events)
{
    struct vmm_stream *stream = context;
    struct vmm_console *console = stream->console;

    if (!vmm_streams_begin_call(console))
        return;
    pthread_mutex_lock(&console->lock);
    if (!console->closing && stream->out_watch &&
        events & (EPOLLHUP | EPOLLERR))
        end_output(stream, EPIPE);
    pthread_mutex_unlock(&console->lock);
    vmm_console_drain(console);
    vmm_streams_end_call(console);
}

uint64_t vmm_console_hold_output(struct vmm_console *console)
{
    uint64_t reached;
    struct vmm_stream *stream;

    pthread_mutex_lock(&console->lock);
    reached = vmm_ring_written(&console->out);
    for (stream = console->streams; stream; stream = stream->next) {
        if (stream->out.fd >= 0 && stream->out_position < reached)
            reached = stream->out_position;
    }
    console->out_held = true;
    pthread_mutex_unlock(&console->lock);
    return reached;
}

bool vmm_console_release_output(struct vmm_console *console, uint64_t position)
{
    uint64_t end;
    bool released;
    struct vmm_stream *stream;

    pthread_mutex_lock(&console->lock);
    end = vmm_ring_written(&console->out);
    released = position >= end;
    for (stream = console->streams; released && stream; stream = stream->next)
        stream->out_position = end;
    if (released)
        console->out_held = false;
    pthread_mutex_unlock(&console->lock);
    return released;
}
