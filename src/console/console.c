/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The console: rings between a device and the loop's thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "console/console.h"
#include "console/stream.h"

#define DEFAULT_RING_BYTES ((size_t)64 << 10)

/* A guest writes byte by byte.  To wake the loop's thread for each costs both
 * sides several times what the byte itself does, so the loop drains the first
 * at once, those that follow once per this time or when the ring fills. */
#define LINGER_NS 1000000

/* ---- the device's side -------------------------------------------------- */

void vmm_console_connect(struct vmm_console *console,
                         const struct vmm_console_port *port)
{
    pthread_mutex_lock(&console->port_lock);
    console->port = port ? *port : (struct vmm_console_port){0};
    pthread_mutex_unlock(&console->port_lock);
    if (port) {
        atomic_store(&console->in_announce, true);
        vmm_wakeup_signal(console->wakeup);
    }
}

/*
 * Signal the loop where it would not look by itself.  The exchanges (not plain
 * stores and loads) order each flag with the ring's positions: whoever finds a
 * flag as the other side left it also sees the bytes, or the room, it left.
 */
static void announce_output(struct vmm_console *console)
{
    bool urgent = vmm_ring_room(&console->out) <= console->out.size / 2;

    if (!urgent && atomic_fetch_or(&console->out_lingering, 0))
        return;
    if (!atomic_exchange(&console->out_signalled, true))
        vmm_wakeup_signal(console->wakeup);
}

size_t vmm_console_output(struct vmm_console *console, const uint8_t *bytes,
                          size_t len)
{
    size_t taken = vmm_ring_write(&console->out, bytes, len);

    if (taken < len) {
        atomic_exchange(&console->out_refused, true);
        taken += vmm_ring_write(&console->out, bytes + taken, len - taken);
    }
    if (taken)
        announce_output(console);
    return taken;
}

/* Have the waiters for room go on when it is time. */
static void check_room(struct vmm_console *console)
{
    if (vmm_ring_room(&console->in) >= console->in.size / 2 &&
        atomic_exchange(&console->in_wanted, false)) {
        atomic_store(&console->in_room, true);
        vmm_wakeup_signal(console->wakeup);
    }
}

size_t vmm_console_pull(struct vmm_console *console, uint8_t *bytes, size_t max)
{
    size_t len = vmm_ring_read(&console->in, bytes, max);

    if (len)
        check_room(console);
    return len;
}

/* ---- calls to the device and the listener ------------------------------- */

void vmm_console_input_arrived(struct vmm_console *console)
{
    pthread_mutex_lock(&console->port_lock);
    if (console->port.input_ready)
        console->port.input_ready(console->port.context);
    pthread_mutex_unlock(&console->port_lock);
}

static void call_output_ready(struct vmm_console *console)
{
    pthread_mutex_lock(&console->port_lock);
    if (console->port.output_ready)
        console->port.output_ready(console->port.context);
    pthread_mutex_unlock(&console->port_lock);
}

static void call_on_output(struct vmm_console *console)
{
    pthread_mutex_lock(&console->listener_lock);
    if (console->listener.on_output)
        console->listener.on_output(console->listener.context);
    pthread_mutex_unlock(&console->listener_lock);
}

static void call_on_room(struct vmm_console *console)
{
    pthread_mutex_lock(&console->listener_lock);
    if (console->listener.on_room)
        console->listener.on_room(console->listener.context);
    pthread_mutex_unlock(&console->listener_lock);
}

void vmm_console_listen(struct vmm_console *console,
                        const struct vmm_console_listener *listener)
{
    pthread_mutex_lock(&console->listener_lock);
    console->listener = listener ? *listener : (struct vmm_console_listener){0};
    pthread_mutex_unlock(&console->listener_lock);
}

/* ---- output: drain, capture, texts -------------------------------------- */

/* With the capture lock: capture what is new in the ring.  Its reading side
 * does not move meanwhile: a drain captures before it releases. */
static void capture_new(struct vmm_console *console)
{
    uint64_t end = vmm_ring_written(&console->out);
    uint64_t now = vmm_now_ns();

    while (console->capture.total < end) {
        const uint8_t *bytes;
        size_t len =
            vmm_ring_view(&console->out, console->capture.total, end, &bytes);

        vmm_capture_add(&console->capture, bytes, len, now);
    }
}

/* With the lock: count the occurrences of each text in the output up to end. */
static void find_texts(struct vmm_console *console, uint64_t end,
                       size_t found[VMM_CONSOLE_TEXTS])
{
    uint64_t position = console->drained;

    memset(found, 0, VMM_CONSOLE_TEXTS * sizeof(found[0]));
    while (position < end) {
        const uint8_t *bytes;
        size_t len = vmm_ring_view(&console->out, position, end, &bytes);

        for (size_t i = 0; i < console->texts_len; i++)
            found[i] +=
                vmm_text_match_feed(&console->texts[i].match, bytes, len);
        position += len;
    }
}

static void report_output(struct vmm_console *console,
                          const size_t found[VMM_CONSOLE_TEXTS])
{
    for (size_t i = 0; i < VMM_CONSOLE_TEXTS; i++)
        for (size_t times = found[i]; times; times--)
            console->texts[i].found(console->texts[i].context);
    call_on_output(console);
}

bool vmm_console_drain(struct vmm_console *console)
{
    size_t found[VMM_CONSOLE_TEXTS];
    bool fresh;
    uint64_t end;

    atomic_exchange(&console->out_signalled, false);
    pthread_mutex_lock(&console->lock);
    if (console->closing) {
        pthread_mutex_unlock(&console->lock);
        return false;
    }
    pthread_mutex_lock(&console->capture_lock);
    capture_new(console);
    end = console->capture.total;
    pthread_mutex_unlock(&console->capture_lock);

    find_texts(console, end, found);
    fresh = console->drained < end;
    console->drained = end;
    vmm_ring_release(&console->out, vmm_streams_write(console, end));
    pthread_cond_broadcast(&console->progress);
    pthread_mutex_unlock(&console->lock);

    if (vmm_ring_room(&console->out) &&
        atomic_exchange(&console->out_refused, false))
        call_output_ready(console);
    if (fresh)
        report_output(console, found);
    vmm_streams_report(console);
    return fresh;
}

static void start_lingering(struct vmm_console *console)
{
    atomic_exchange(&console->out_lingering, 1);
    vmm_timer_set(console->linger, LINGER_NS, 0);
}

static void linger_over(void *context)
{
    struct vmm_console *console = context;
    bool fresh = vmm_console_drain(console);

    if (!fresh) {
        atomic_exchange(&console->out_lingering, 0);
        fresh = vmm_console_drain(console); /* what came just before */
    }
    if (fresh)
        start_lingering(console);
}

size_t vmm_console_capture_read(struct vmm_console *console, uint64_t *position,
                                uint8_t *bytes, size_t max, uint64_t *time_ns)
{
    size_t len;

    pthread_mutex_lock(&console->capture_lock);
    capture_new(console);
    len = vmm_capture_read(&console->capture, position, bytes, max, time_ns);
    pthread_mutex_unlock(&console->capture_lock);
    return len;
}

uint64_t vmm_console_output_total(struct vmm_console *console)
{
    return vmm_ring_written(&console->out);
}

int vmm_console_watch_text(struct vmm_console *console, const char *text,
                           void (*found)(void *context), void *context,
                           struct vmm_error *err)
{
    size_t len = strlen(text);
    struct vmm_console_text *slot = NULL;

    vmm_error_clear(err);
    if (len < 1 || len > VMM_TEXT_BYTES_MAX)
        return vmm_error_set(
            err, EINVAL, "a text to watch for has 1 to %d bytes, this one %zu",
            VMM_TEXT_BYTES_MAX, len);
    pthread_mutex_lock(&console->lock);
    if (console->texts_len < VMM_CONSOLE_TEXTS) {
        slot = &console->texts[console->texts_len];
        vmm_text_match_init(&slot->match, text, len);
        slot->found = found;
        slot->context = context;
        console->texts_len++;
    }
    pthread_mutex_unlock(&console->lock);
    if (!slot)
        return vmm_error_set(err, ENOSPC,
                             "a console watches for at most %d texts",
                             VMM_CONSOLE_TEXTS);
    return 0;
}

/* ---- flush -------------------------------------------------------------- */

/* The slowest sink's position is what the ring was released up to. */
static bool is_drained(struct vmm_console *console, uint64_t end)
{
    return vmm_ring_released(&console->out) >= end;
}

/* While the loop's own thread drains. */
static int await_drain(struct vmm_console *console, uint64_t end,
                       uint64_t deadline)
{
    struct timespec when = {
        .tv_sec = (time_t)(deadline / 1000000000),
        .tv_nsec = (long)(deadline % 1000000000),
    };
    int code = 0;

    pthread_mutex_lock(&console->lock);
    while (!is_drained(console, end) && code == 0)
        code =
            pthread_cond_timedwait(&console->progress, &console->lock, &when);
    pthread_mutex_unlock(&console->lock);
    return is_drained(console, end) ? 0 : -code;
}

int vmm_console_flush(struct vmm_console *console, int64_t timeout_ns)
{
    uint64_t end = vmm_ring_written(&console->out);
    uint64_t deadline = INT64_MAX, now = vmm_now_ns();

    if (timeout_ns >= 0 && (uint64_t)timeout_ns < INT64_MAX - now)
        deadline = now + (uint64_t)timeout_ns;
    if (!is_drained(console, end))
        vmm_wakeup_signal(console->wakeup); /* do not linger */
    while (!is_drained(console, end)) {
        int64_t left = (int64_t)(deadline - now);
        int calls = vmm_loop_step(console->loop, left);

        if (calls == -EBUSY && !vmm_loop_in_thread(console->loop))
            return await_drain(console, end, deadline);
        if (calls < 0 && calls != -EINTR)
            return calls;
        now = vmm_now_ns();
        if (now >= deadline)
            return is_drained(console, end) ? 0 : -ETIMEDOUT;
    }
    return 0;
}

/* ---- input -------------------------------------------------------------- */

void vmm_console_want_room(struct vmm_console *console)
{
    atomic_exchange(&console->in_wanted, true);
    check_room(console);
}

size_t vmm_console_send(struct vmm_console *console, const uint8_t *bytes,
                        size_t len)
{
    size_t taken;

    pthread_mutex_lock(&console->in_lock);
    taken = vmm_ring_write(&console->in, bytes, len);
    if (taken < len)
        console->send_refused = true;
    pthread_mutex_unlock(&console->in_lock);
    if (taken < len)
        vmm_console_want_room(console);
    if (taken)
        vmm_console_input_arrived(console);
    return taken;
}

/* On the loop's thread. */
static void use_room(struct vmm_console *console)
{
    bool refused;

    pthread_mutex_lock(&console->lock);
    vmm_streams_resume(console);
    pthread_mutex_unlock(&console->lock);

    pthread_mutex_lock(&console->in_lock);
    refused = console->send_refused;
    console->send_refused = false;
    pthread_mutex_unlock(&console->in_lock);
    if (refused)
        call_on_room(console);
}

/* ---- life --------------------------------------------------------------- */

static void woken(void *context)
{
    struct vmm_console *console = context;

    if (vmm_console_drain(console) && !atomic_load(&console->out_lingering))
        start_lingering(console);
    if (atomic_exchange(&console->in_room, false))
        use_room(console);
    if (atomic_exchange(&console->in_announce, false) &&
        vmm_ring_used(&console->in))
        vmm_console_input_arrived(console);
}

static int init_ring(struct vmm_ring *ring, size_t bytes, const char *which,
                     struct vmm_error *err)
{
    int ret = vmm_ring_init(ring, bytes ? bytes : DEFAULT_RING_BYTES);

    if (ret == -EINVAL)
        return vmm_error_set(err, EINVAL,
                             "the console's %s ring of %zu bytes is not a "
                             "power of two",
                             which, bytes);
    if (ret < 0)
        return vmm_error_set(err, -ret,
                             "no memory for the console's %s ring of %zu bytes",
                             which, bytes);
    return 0;
}

static int init_buffers(struct vmm_console *console,
                        const struct vmm_console_config *config,
                        struct vmm_error *err)
{
    int ret = init_ring(&console->out, config->out_ring_bytes, "output", err);

    if (ret == 0)
        ret = init_ring(&console->in, config->in_ring_bytes, "input", err);
    if (ret < 0)
        return ret;
    ret = vmm_capture_init(&console->capture, config->capture_bytes);
    if (ret < 0)
        return vmm_error_set(err, -ret,
                             "no memory to capture %zu bytes of console output",
                             config->capture_bytes);
    return 0;
}

static void init_locks(struct vmm_console *console)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&console->lock, NULL);
    pthread_mutex_init(&console->in_lock, NULL);
    pthread_mutex_init(&console->capture_lock, NULL);
    pthread_mutex_init(&console->port_lock, NULL);
    pthread_mutex_init(&console->listener_lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&console->progress, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void destroy(struct vmm_console *console)
{
    vmm_ring_fini(&console->out);
    vmm_ring_fini(&console->in);
    vmm_capture_fini(&console->capture);
    pthread_cond_destroy(&console->progress);
    pthread_mutex_destroy(&console->listener_lock);
    pthread_mutex_destroy(&console->port_lock);
    pthread_mutex_destroy(&console->capture_lock);
    pthread_mutex_destroy(&console->in_lock);
    pthread_mutex_destroy(&console->lock);
    free(console);
}

int vmm_console_new(struct vmm_loop *loop,
                    const struct vmm_console_config *config,
                    struct vmm_console **console, struct vmm_error *err)
{
    struct vmm_console *new;
    int ret;

    vmm_error_clear(err);
    new = calloc(1, sizeof(*new));
    if (!new)
        return vmm_error_set(err, ENOMEM, "no memory for a console");
    new->loop = loop;
    init_locks(new);
    ret = init_buffers(new, config, err);
    if (ret == 0)
        ret = vmm_loop_timer(loop, linger_over, new, &new->linger, err);
    if (ret == 0)
        ret = vmm_loop_wakeup(loop, woken, new, &new->wakeup, err);
    if (ret < 0) {
        vmm_timer_remove(new->linger);
        destroy(new);
        return ret;
    }
    *console = new;
    return 0;
}

void vmm_console_free(struct vmm_console *console)
{
    if (!console)
        return;
    pthread_mutex_lock(&console->lock);
    console->closing = true;
    pthread_mutex_unlock(&console->lock);
    vmm_wakeup_remove(console->wakeup);
    vmm_timer_remove(console->linger);
    pthread_mutex_lock(&console->lock);
    vmm_streams_close(console);
    pthread_mutex_unlock(&console->lock);
    destroy(console);
}
