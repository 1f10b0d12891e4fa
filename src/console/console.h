/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The inside of a console, shared by its streams and doors. */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/console.h>

#include "base/ring.h"
#include "console/capture.h"
#include "console/text_match.h"

#define VMM_CONSOLE_TEXTS 16

struct vmm_door;
struct vmm_stream;

struct vmm_console_text {
    struct vmm_text_match match;
    void (*found)(void *context);
    void *context;
};

/*
 * The rings are free of locks towards the device: output writes `out` and
 * pull reads `in` on whatever thread the guest runs.  Locks are taken in the
 * order of their declaration, none during a callback but the one that
 * guards just that callback.
 */
struct vmm_console {
    struct vmm_loop *loop;
    struct vmm_wakeup *wakeup; /* the device side has work for the loop */
    struct vmm_timer *linger;  /* looks again a moment after a drain */
    struct vmm_ring out;
    struct vmm_ring in;
    atomic_bool out_signalled; /* a drain is to come that sees new output */
    atomic_int out_lingering;  /* one will come soon, unless it is urgent */
    atomic_bool out_refused;   /* the device waits for output_ready */
    atomic_bool in_wanted;     /* a source or sender waits for room in `in` */
    atomic_bool in_room;       /* and now there is some */
    atomic_bool in_announce;   /* the device wants to hear of input again */

    pthread_mutex_t lock;
    bool closing;  /* callbacks have nothing left to do */
    bool calling;  /* a callback of a stream runs, maybe without its watch */
    bool in_held;  /* sources are not to be read */
    bool out_held; /* sinks are not to be written */
    struct vmm_stream *streams;
    struct vmm_door *doors;
    struct vmm_console_text texts[VMM_CONSOLE_TEXTS];
    size_t texts_len;
    uint64_t drained; /* up to here scanned for texts and announced */
    pthread_cond_t progress;

    pthread_mutex_t in_lock; /* the writing side of `in` */
    bool send_refused;

    pthread_mutex_t capture_lock;
    struct vmm_capture capture;

    pthread_mutex_t port_lock;
    struct vmm_console_port port;
    pthread_mutex_t listener_lock;
    struct vmm_console_listener listener;
};

/* On the loop's thread: move what is in `out` on.  Returns whether there was
 * new output. */
bool vmm_console_drain(struct vmm_console *console);
/* The same for a signal, after which it lingers; and once that time is over. */
void vmm_console_drain_signalled(struct vmm_console *console);
void vmm_console_drain_lingering(void *console);
/* Bytes were added to `in`. */
void vmm_console_input_arrived(struct vmm_console *console);
/* There was no room in `in`: once half of it is free, vmm_streams_resume and
 * on_room follow. */
void vmm_console_want_room(struct vmm_console *console);

#endif
