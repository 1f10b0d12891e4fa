/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The host's end of a character device: where its bytes go and come from. */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/loop.h>

/*
 *   device --output--> [out ring] --I/O thread--> capture buffer, fd sinks
 *   device <--pull---- [in ring]  <--I/O thread-- fd sources; send()
 *
 * The device side (output, pull) is called on vCPU threads and never blocks;
 * everything slow happens on the loop's thread.
 */
struct vmm_console;

struct vmm_console_config {
    size_t out_ring_bytes; /* power of two; 0: 64 KiB */
    size_t in_ring_bytes;  /* power of two; 0: 64 KiB */
    size_t capture_bytes;  /* keep that many last bytes; 0: keep none */
};

VMM_API int vmm_console_new(struct vmm_loop *loop,
                            const struct vmm_console_config *config,
                            struct vmm_console **console,
                            struct vmm_error *err);
/* Drains what it can into the sinks, then detaches.  Before the loop, and not
 * from a callback of the console or under a lock that one takes. */
VMM_API void vmm_console_free(struct vmm_console *console);

/* ---- the device's side (any thread, one at a time, never blocks) ------- */

struct vmm_console_port {
    /* There is input to pull / room for output again after a refusal.
     * Called from the loop's thread or from send()'s caller. */
    void (*input_ready)(void *context);
    void (*output_ready)(void *context);
    void *context;
};
/* Connect the device; NULL disconnects (no callback runs afterwards).  Input
 * that waits already is announced.  Not from these callbacks, nor under a lock
 * that they take. */
VMM_API void vmm_console_connect(struct vmm_console *console,
                                 const struct vmm_console_port *port);
/*
 * Guest output.  Returns how many bytes were taken, fewer than len when a
 * slow sink has filled the ring: output_ready follows.
 */
VMM_API size_t vmm_console_output(struct vmm_console *console,
                                  const uint8_t *bytes, size_t len);
/* Input for the guest: up to max bytes, 0 when there is none. */
VMM_API size_t vmm_console_pull(struct vmm_console *console, uint8_t *bytes,
                                size_t max);
/* Have input_ready called from the loop's thread, if there is input: for a
 * device that takes it in turns. */
VMM_API void vmm_console_announce(struct vmm_console *console);

/* ---- the host's side ---------------------------------------------------- */

/*
 * Attach fds of any kind; in/out: -1 for none.  An escape byte (0..255, -1
 * none) in the input and the byte after it are not sent to the guest but
 * reported by on_escape (the escape byte twice sends it once).  A sink that
 * fails or closes is dropped; output then goes on to the others.  Output that
 * no sink and no capture wants is swallowed.
 * Borrowed fds keep their file status flags: a terminal or pipe is not made
 * non-blocking for other processes that share it.  Callbacks come on the
 * loop's thread.
 */
struct vmm_console_stream {
    int in_fd;
    int out_fd;
    bool owns; /* close the fds at detach; when attach fails they are not */
    int escape;
    void (*on_escape)(void *context, uint8_t key);
    void (*on_input_end)(void *context); /* in_fd reached its end, or failed */
    /* out_fd was dropped: EPIPE when its reader left, ENOSPC, EIO, ... */
    void (*on_output_end)(void *context, int code);
    void *context;
};
VMM_API int vmm_console_attach(struct vmm_console *console,
                               const struct vmm_console_stream *stream,
                               struct vmm_error *err);
/* While held, no source is read: what is typed is for somebody else.  What the
 * guest has not pulled yet it still gets. */
VMM_API void vmm_console_hold_input(struct vmm_console *console, bool hold);
/*
 * While held, no sink is written: what the guest prints goes to the capture
 * alone.  Returns the position in the output that the slowest sink has reached.
 */
VMM_API uint64_t vmm_console_hold_output(struct vmm_console *console);
/*
 * Write the sinks again, from that position on, up to which the caller has
 * shown the output itself.  False, and still held, when there is newer output;
 * UINT64_MAX: from now on.
 */
VMM_API bool vmm_console_release_output(struct vmm_console *console,
                                        uint64_t position);
/* Open a pseudo-terminal and attach it; its /dev/pts path goes to path. */
VMM_API int vmm_console_attach_pty(struct vmm_console *console, char *path,
                                   size_t path_bytes, struct vmm_error *err);
/* Listen on a unix socket at path (must not exist); one client at a time; a
 * client that leaves may come back. */
VMM_API int vmm_console_attach_unix(struct vmm_console *console,
                                    const char *path, struct vmm_error *err);

/* Queue input for the guest; returns how many bytes were taken (bounded by
 * the ring): send the rest when on_room is called. */
VMM_API size_t vmm_console_send(struct vmm_console *console,
                                const uint8_t *bytes, size_t len);

/*
 * The capture: output since the start, of which the last capture_bytes are
 * kept.  Copies up to max bytes from stream position *position on, advances
 * *position (skipping what was dropped), returns the number copied.
 * *time_ns (may be NULL): when the first byte copied arrived (CLOCK_MONOTONIC,
 * granularity: one drain).
 */
VMM_API size_t vmm_console_capture_read(struct vmm_console *console,
                                        uint64_t *position, uint8_t *bytes,
                                        size_t max, uint64_t *time_ns);
/* Bytes of output so far, all time. */
VMM_API uint64_t vmm_console_output_total(struct vmm_console *console);
/* Bytes of input that the device has pulled so far, all time. */
VMM_API uint64_t vmm_console_input_total(struct vmm_console *console);

/*
 * Watch the output for a plain text (1..255 bytes), also across reads; found
 * is called once per occurrence on the loop's thread.  Up to 16 texts.
 */
VMM_API int vmm_console_watch_text(struct vmm_console *console,
                                   const char *text,
                                   void (*found)(void *context), void *context,
                                   struct vmm_error *err);

/* Called on the loop's thread after new output was captured / after the input
 * ring has room again that a send did not find.  Must be short.  One listener;
 * NULL removes it (no callback runs afterwards; not from these callbacks). */
struct vmm_console_listener {
    void (*on_output)(void *context);
    void (*on_room)(void *context);
    void *context;
};
VMM_API void vmm_console_listen(struct vmm_console *console,
                                const struct vmm_console_listener *listener);

/* Wait until the output so far has been drained into the capture and the
 * sinks that still take bytes, or timeout_ns has passed (-ETIMEDOUT; < 0: for
 * ever).  Steps a loop that no thread runs; -EBUSY from a callback of it. */
VMM_API int vmm_console_flush(struct vmm_console *console, int64_t timeout_ns);

#endif
