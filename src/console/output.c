/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The way out: from the device's ring to capture, listeners and sinks. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "console/console.h"
#include "console/stream.h"

/* A guest writes byte by byte.  To wake the loop's thread for each costs both
 * sides several times what the byte itself does, so the loop drains the first
 * at once, those that follow once per this time or when the ring fills. */
#define LINGER_NS 1000000

/* ---- the device's side -------------------------------------------------- */

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

/* ---- drain -------------------------------------------------------------- */

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

void vmm_console_drain_signalled(struct vmm_console *console)
{
    if (vmm_console_drain(console) && !atomic_load(&console->out_lingering))
        start_lingering(console);
}

void vmm_console_drain_lingering(void *context)
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

/* ---- what the host asks for --------------------------------------------- */

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
