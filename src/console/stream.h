/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The fds attached to a console: sources of its input, sinks of its output. */
#ifndef CONSOLE_STREAM_H
#define CONSOLE_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include <vmm/console.h>

#include "base/fd.h"

struct vmm_stream {
    struct vmm_console *console;
    struct vmm_stream *next;
    struct vmm_console_stream config;
    void (*gone)(void *context);
    void *gone_context;

    struct vmm_fd in;
    struct vmm_watch *in_watch;
    struct vmm_timer *in_timer; /* while in the background; created then */
    bool in_held;               /* paused for want of room */
    bool in_escaped;            /* the last byte read was the escape byte */
    bool in_ended;              /* to be reported */

    struct vmm_fd out;
    struct vmm_watch *out_watch;
    uint64_t out_position; /* all output before it is written */
    int out_ended;         /* to be reported: errno value */
};

/* vmm_console_attach, with gone (may be NULL) to be called on the loop's
 * thread once the stream is over, unless that is because the console is.
 * -ECANCELED when it is being closed. */
int vmm_stream_add(struct vmm_console *console,
                   const struct vmm_console_stream *config,
                   void (*gone)(void *context), void *context,
                   struct vmm_error *err);

/* With console->lock held: write what the sinks take of the output before end.
 * Returns the position that the slowest has reached. */
uint64_t vmm_streams_write(struct vmm_console *console, uint64_t end);
/* With console->lock held: there is room for input again. */
void vmm_streams_resume(struct vmm_console *console);
/* On the loop's thread: report the ends of streams, and free those of which
 * both ends are gone. */
void vmm_streams_report(struct vmm_console *console);
/* Once console->closing is set: write what the sinks take, close all; then no
 * callback of a stream runs any more. */
void vmm_streams_close(struct vmm_console *console);

/* Bracket a watch's callback.  It may remove that watch, so the watch's removal
 * alone does not tell that it has returned.  False: the console is closing. */
bool vmm_streams_begin_call(struct vmm_console *console);
void vmm_streams_end_call(struct vmm_console *console);

/* The watches' callbacks: there is input; output is taken again, or the other
 * side has gone. */
void vmm_source_ready(void *stream, uint32_t events);
void vmm_sink_ready(void *stream, uint32_t events);
/* Write until the sink blocks, fails or has all before end. */
void vmm_sink_write(struct vmm_stream *stream, uint64_t end);

#endif
