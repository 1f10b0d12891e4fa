/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Taps on a bus: who sees, rewrites or swallows accesses, beside devices. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "devices/bus_internal.h"
#include "devices/device.h"

void vmm_bus_tap_unpin(struct vmm_bus_tap *tap)
{
    if (atomic_fetch_sub(&tap->pins, 1) > 1)
        return;
    sem_t *unused = tap->unused;
    if (tap->ops->destroy)
        tap->ops->destroy(tap->context);
    free(tap);
    if (unused)
        sem_post(unused);
}

/* ---- the writers' side -----------------------------------------------------
 */

/* A copy of old (NULL: empty) with room for `count` taps. */
static struct vmm_bus_taps *copy_taps(const struct vmm_bus_taps *old,
                                      size_t count)
{
    struct vmm_bus_taps *taps =
        malloc(sizeof(*taps) + count * sizeof(taps->entries[0]));
    if (!taps)
        return NULL;
    taps->count = 0;
    for (size_t i = 0; old && i < old->count && i < count; i++)
        taps->entries[taps->count++] = old->entries[i];
    return taps;
}

/* Let readers see the taps (NULL: none are left), free the old table. */
static void publish_taps(struct vmm_bus *bus, struct vmm_bus_taps *taps)
{
    struct vmm_bus_taps *old = atomic_exchange(&bus->taps, taps);
    vmm_bus_await_lookups(bus);
    free(old);
}

int vmm_bus_tap_add(struct vmm_bus *bus, uint64_t base, uint64_t length,
                    const struct vmm_tap_ops *ops, void *context,
                    struct vmm_bus_tap **out, struct vmm_error *err)
{
    vmm_error_clear(err);
    *out = NULL;
    int rc = vmm_bus_check_extent(bus, base, length, ops->name, err);
    if (rc < 0)
        return rc;
    struct vmm_bus_tap *tap = malloc(sizeof(*tap));
    if (!tap)
        return vmm_error_set(err, ENOMEM, "%s bus: out of memory", bus->name);
    *tap = (struct vmm_bus_tap){.base = base,
                                .last = base + (length - 1),
                                .ops = ops,
                                .context = context,
                                .pins = 1};
    pthread_mutex_lock(&bus->writers);
    const struct vmm_bus_taps *old = bus->taps;
    struct vmm_bus_taps *taps = copy_taps(old, old ? old->count + 1 : 1);
    if (taps) {
        tap->number = ++bus->last_tap;
        taps->entries[taps->count++] = tap;
        *out = tap; /* before its first call can come */
        publish_taps(bus, taps);
    }
    pthread_mutex_unlock(&bus->writers);
    if (taps)
        return 0;
    free(tap);
    return vmm_error_set(err, ENOMEM, "%s bus: out of memory", bus->name);
}

/* Take it off the table, in which it is; -ENOMEM. */
static int take_out(struct vmm_bus *bus, const struct vmm_bus_tap *tap)
{
    const struct vmm_bus_taps *old = bus->taps;
    struct vmm_bus_taps *taps = NULL;

    if (old->count > 1) {
        taps = copy_taps(old, old->count);
        if (!taps)
            return -ENOMEM;
        size_t at = 0;
        while (taps->entries[at] != tap)
            at++;
        taps->count--;
        memmove(&taps->entries[at], &taps->entries[at + 1],
                (taps->count - at) * sizeof(taps->entries[0]));
    }
    publish_taps(bus, taps);
    return 0;
}

int vmm_bus_tap_remove(struct vmm_bus *bus, struct vmm_bus_tap *tap,
                       struct vmm_error *err)
{
    sem_t unused;

    vmm_error_clear(err);
    pthread_mutex_lock(&bus->writers);
    int rc = take_out(bus, tap);
    pthread_mutex_unlock(&bus->writers);
    if (rc < 0)
        return vmm_error_set(err, -rc, "%s bus: out of memory", bus->name);
    if (vmm_device_entered()) {
        vmm_bus_tap_unpin(tap);
        return 0;
    }
    sem_init(&unused, 0, 0);
    tap->unused = &unused;
    vmm_bus_tap_unpin(tap);
    while (sem_wait(&unused) < 0 && errno == EINTR)
        continue;
    sem_destroy(&unused);
    return 0;
}

void vmm_bus_taps_free(struct vmm_bus *bus)
{
    struct vmm_bus_taps *taps = bus->taps;

    for (size_t i = 0; taps && i < taps->count; i++)
        vmm_bus_tap_unpin(taps->entries[i]);
    free(taps);
}

/* ---- the readers' side -----------------------------------------------------
 */

/* An access to [first, last]. */
struct span {
    uint64_t first;
    uint64_t last;
};

/* Pin the first tap after number `after` that sees a part of the span. */
static struct vmm_bus_tap *pin_next(const struct vmm_bus_taps *taps,
                                    struct span span, uint64_t after)
{
    for (size_t i = 0; taps && i < taps->count; i++) {
        struct vmm_bus_tap *tap = taps->entries[i];
        if (tap->number > after && tap->base <= span.last &&
            tap->last >= span.first) {
            atomic_fetch_add(&tap->pins, 1);
            return tap;
        }
    }
    return NULL;
}

static struct vmm_bus_tap *hold_next(struct vmm_bus *bus, struct span span,
                                     uint64_t after)
{
    struct vmm_bus_tap *tap;
    struct vmm_bus_slot *slot = vmm_bus_claim_slot(bus);

    if (slot) {
        tap = pin_next(bus->taps, span, after);
        atomic_store_explicit(&slot->holds, 0, memory_order_release);
    } else {
        pthread_mutex_lock(&bus->writers);
        tap = pin_next(bus->taps, span, after);
        pthread_mutex_unlock(&bus->writers);
    }
    return tap;
}

/* What of an access of size bytes is in the tap's range. */
struct overlap {
    uint64_t offset; /* in the range */
    size_t skip;     /* bytes of the access before it */
    size_t size;
};

static struct overlap overlap_of(const struct vmm_bus_tap *tap,
                                 struct span span)
{
    uint64_t first = tap->base > span.first ? tap->base : span.first;
    uint64_t last = tap->last < span.last ? tap->last : span.last;

    return (struct overlap){.offset = first - tap->base,
                            .skip = (size_t)(first - span.first),
                            .size = (size_t)(last - first) + 1};
}

static struct span span_of(uint64_t address, size_t size)
{
    struct span span = {.first = address};

    if (__builtin_add_overflow(address, size - 1, &span.last))
        span.last = UINT64_MAX; /* nothing is beyond the top of the space */
    return span;
}

/* Whom an access has yet to pass. */
struct walk {
    struct span span;
    uint64_t number; /* of the tap before */
};

/* Call the next tap's function, if it has one; false: there is no tap left. */
static bool call_next(struct vmm_bus *bus, struct walk *walk, bool is_write,
                      uint8_t *value, bool *result)
{
    struct vmm_bus_tap *tap = hold_next(bus, walk->span, walk->number);
    if (!tap)
        return false;
    struct overlap at = overlap_of(tap, walk->span);
    walk->number = tap->number;
    bool (*fn)(void *, uint64_t, uint8_t *, size_t) =
        is_write ? tap->ops->write : tap->ops->read;
    if (fn) {
        vmm_handler_enter();
        *result = fn(tap->context, at.offset, value + at.skip, at.size);
        vmm_handler_leave();
    }
    vmm_bus_tap_unpin(tap);
    return true;
}

bool vmm_bus_taps_read(struct vmm_bus *bus, uint64_t address, uint8_t *value,
                       size_t size)
{
    struct walk walk = {.span = span_of(address, size)};
    bool rewritten = false;
    bool one = false;

    while (call_next(bus, &walk, false, value, &one))
        rewritten |= one;
    return rewritten;
}

bool vmm_bus_taps_write(struct vmm_bus *bus, uint64_t address, uint8_t *value,
                        size_t size)
{
    struct walk walk = {.span = span_of(address, size)};
    bool goes_on = true;

    while (goes_on && call_next(bus, &walk, true, value, &goes_on))
        continue;
    return goes_on;
}
