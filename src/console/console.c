/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The console's life, and the way in: from sources and senders to the device.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "console/console.h"
#include "console/door.h"
#include "console/stream.h"

#define DEFAULT_RING_BYTES ((size_t)64 << 10)

/* ---- the device's side -------------------------------------------------- */

void vmm_console_connect(struct vmm_console *console,
                         const struct vmm_console_port *port)
{
    pthread_mutex_lock(&console->port_lock);
    console->port = port ? *port : (struct vmm_console_port){0};
    pthread_mutex_unlock(&console->port_lock);
    if (port)
        vmm_console_announce(console);
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

void vmm_console_announce(struct vmm_console *console)
{
    if (vmm_ring_used(&console->in) == 0)
        return; /* what comes later announces itself */
    atomic_store(&console->in_announce, true);
    vmm_wakeup_signal(console->wakeup);
}

void vmm_console_input_arrived(struct vmm_console *console)
{
    pthread_mutex_lock(&console->port_lock);
    if (console->port.input_ready)
        console->port.input_ready(console->port.context);
    pthread_mutex_unlock(&console->port_lock);
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

/* ---- input -------------------------------------------------------------- */

uint64_t vmm_console_input_total(struct vmm_console *console)
{
    return vmm_ring_released(&console->in);
}

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

    vmm_console_drain_signalled(console);
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
        ret = vmm_loop_timer(loop, vmm_console_drain_lingering, new,
                             &new->linger, err);
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

void vmm_console_add_door(struct vmm_console *console, struct vmm_door *door)
{
    pthread_mutex_lock(&console->lock);
    door->next = console->doors;
    console->doors = door;
    pthread_mutex_unlock(&console->lock);
}

void vmm_console_free(struct vmm_console *console)
{
    if (!console)
        return;
    pthread_mutex_lock(&console->lock);
    console->closing = true; /* no stream is added any more */
    pthread_mutex_unlock(&console->lock);
    vmm_wakeup_remove(console->wakeup);
    vmm_timer_remove(console->linger);
    vmm_streams_close(console);
    while (console->doors) {
        struct vmm_door *door = console->doors;

        console->doors = door->next;
        door->close(door);
    }
    destroy(console);
}
