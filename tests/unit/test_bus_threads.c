/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The bus while devices come, go and move under accesses of other threads. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include <vmm/bus.h>

#define READERS  3
#define ROUNDS   1000
#define DEADLINE 60 /* seconds; a test that takes longer hangs */

/* ---- a device that knows whether it is alive ---- */

#define ALIVE 0x600d

struct tenant {
    struct vmm_device device;
    unsigned alive; /* ALIVE until destroyed */
    uint8_t answer;
    atomic_uint *population;
    void (*during)(struct tenant *tenant);
    void *context;
};

static struct tenant *tenant_of(struct vmm_device *device)
{
    return (struct tenant *)device;
}

static void tenant_read(struct vmm_device *device, uint64_t offset,
                        uint8_t *value, size_t size)
{
    struct tenant *tenant = tenant_of(device);
    (void)offset;
    if (tenant->alive != ALIVE)
        abort();
    for (size_t i = 0; i < size; i++)
        value[i] = tenant->answer;
    if (tenant->during)
        tenant->during(tenant);
}

static void tenant_write(struct vmm_device *device, uint64_t offset,
                         const uint8_t *value, size_t size)
{
    (void)device;
    (void)offset;
    (void)value;
    (void)size;
}

static void tenant_destroy(struct vmm_device *device)
{
    struct tenant *tenant = tenant_of(device);
    atomic_fetch_sub(tenant->population, 1);
    tenant->alive = 0;
    free(tenant);
}

static const struct vmm_region_ops tenant_regions[] = {
    {tenant_read, tenant_write, 0}};

static const struct vmm_device_ops tenant_ops = {.name = "tenant",
                                                 .destroy = tenant_destroy};

static struct tenant *tenant_add(struct vmm_bus *bus, uint64_t base,
                                 uint64_t length, uint8_t answer,
                                 atomic_uint *population)
{
    struct tenant *tenant = calloc(1, sizeof(*tenant));
    vmm_device_init(&tenant->device, &tenant_ops, tenant_regions, 1);
    tenant->alive = ALIVE;
    tenant->answer = answer;
    tenant->population = population;
    atomic_fetch_add(population, 1);
    assert_int_equal(vmm_bus_add(bus, base, length, &tenant->device, 0, NULL),
                     0);
    vmm_device_unref(&tenant->device);
    return tenant;
}

static struct vmm_bus *new_bus(void)
{
    struct vmm_bus *bus;
    assert_int_equal(vmm_bus_new("mmio", 0xffffff, &bus, NULL), 0);
    return bus;
}

static void join(pthread_t thread)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DEADLINE;
    if (pthread_timedjoin_np(thread, NULL, &deadline) != 0)
        abort(); /* a deadlock: no clean-up can end that thread */
}

/* ---- readers beside a writer ---- */

/*
 *   0x100      fixed
 *   0x200-     wanderer, at 0x200-0x21f or 0x210-0x22f: 0x218 is always in it
 *   0x300-     guests that come and go
 */
enum { FIXED = 0x11, WANDERER = 0x22, GUEST = 0x33 };

struct street {
    struct vmm_bus *bus;
    atomic_bool stop;
    atomic_uint missed; /* of what is always there */
    atomic_uint wrong;  /* answers by who should not have been asked */
    atomic_uint met;    /* guests */
};

static void *walk(void *context)
{
    struct street *street = context;
    while (!street->stop) {
        uint8_t fixed = 0, wanderer = 0, guest = 0;
        vmm_bus_read(street->bus, 0x100, &fixed, 1);
        vmm_bus_read(street->bus, 0x218, &wanderer, 1);
        int rc = vmm_bus_read(street->bus, 0x300, &guest, 1);
        if (fixed != FIXED || wanderer != WANDERER)
            street->missed++;
        if (guest != (rc == 0 ? GUEST : 0xff))
            street->wrong++;
        if (rc == 0)
            street->met++;
    }
    return NULL;
}

static void accesses_see_a_whole_array_while_ranges_change(void **state)
{
    (void)state;
    atomic_uint population = 0;
    struct street street = {.bus = new_bus()};
    pthread_t readers[READERS];
    tenant_add(street.bus, 0x100, 1, FIXED, &population);
    tenant_add(street.bus, 0x200, 0x20, WANDERER, &population)
        ->device.unlocked = true;
    for (size_t i = 0; i < READERS; i++)
        pthread_create(&readers[i], NULL, walk, &street);

    for (unsigned round = 0; round < ROUNDS || street.met == 0; round++) {
        tenant_add(street.bus, 0x300, 4, GUEST, &population);
        vmm_bus_move(street.bus, 0x200, 0x210, NULL);
        sched_yield();
        vmm_bus_remove(street.bus, 0x300, NULL);
        assert_int_equal(population, 2); /* remove has waited for the guest */
        vmm_bus_move(street.bus, 0x210, 0x200, NULL);
    }
    street.stop = true;
    for (size_t i = 0; i < READERS; i++)
        join(readers[i]);
    assert_int_equal(street.missed, 0);
    assert_int_equal(street.wrong, 0);
    vmm_bus_free(street.bus);
    assert_int_equal(population, 0);
}

/* Each guest leaves of its own accord at the first access. */
static void leave(struct tenant *tenant)
{
    vmm_bus_remove(tenant->context, 0x300, NULL);
}

static void a_device_can_leave_while_others_are_at_it(void **state)
{
    (void)state;
    atomic_uint population = 0;
    struct street street = {.bus = new_bus()};
    pthread_t readers[READERS];
    tenant_add(street.bus, 0x100, 1, FIXED, &population);
    tenant_add(street.bus, 0x200, 0x20, WANDERER, &population);
    for (size_t i = 0; i < READERS; i++)
        pthread_create(&readers[i], NULL, walk, &street);

    struct vmm_error err;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct tenant *guest = calloc(1, sizeof(*guest));
        vmm_device_init(&guest->device, &tenant_ops, tenant_regions, 1);
        guest->alive = ALIVE;
        guest->answer = GUEST;
        guest->population = &population;
        guest->during = leave;
        guest->context = street.bus;
        guest->device.unlocked = round % 2;
        population++;
        while (vmm_bus_add(street.bus, 0x300, 4, &guest->device, 0, &err) ==
               -EBUSY)
            sched_yield();
        assert_int_equal(err.code, 0);
        vmm_device_unref(&guest->device);
    }
    while (street.met < ROUNDS)
        sched_yield();
    street.stop = true;
    for (size_t i = 0; i < READERS; i++)
        join(readers[i]);
    assert_int_equal(population, 2); /* no guest has been forgotten */
    assert_int_equal(street.missed, 0);
    assert_int_equal(street.wrong, 0);
    vmm_bus_free(street.bus);
}

/* ---- who waits for whom ---- */

struct visit {
    struct vmm_bus *bus;
    atomic_bool inside; /* the access is in the handler */
    atomic_bool over;   /* the handler is about to return */
    atomic_bool over_when_removed;
};

/* Stay until the range is off the bus, and a while longer. */
static void linger(struct tenant *tenant)
{
    struct visit *visit = tenant->context;
    uint8_t byte;
    tenant->during = NULL;
    visit->inside = true;
    while (vmm_bus_read(visit->bus, 0x100, &byte, 1) == 0)
        sched_yield();
    for (unsigned i = 0; i < 1000; i++)
        sched_yield();
    visit->over = true;
}

static void *remove_it(void *context)
{
    struct visit *visit = context;
    while (!visit->inside)
        sched_yield();
    vmm_bus_remove(visit->bus, 0x100, NULL);
    visit->over_when_removed = visit->over;
    return NULL;
}

static void remove_waits_for_accesses_of_other_threads(void **state)
{
    (void)state;
    atomic_uint population = 0;
    struct visit visit = {.bus = new_bus()};
    struct tenant *tenant = tenant_add(visit.bus, 0x100, 4, FIXED, &population);
    tenant->device.unlocked = true; /* its handler accesses itself */
    tenant->during = linger;
    tenant->context = &visit;

    pthread_t remover;
    uint8_t byte;
    pthread_create(&remover, NULL, remove_it, &visit);
    assert_int_equal(vmm_bus_read(visit.bus, 0x100, &byte, 1), 0);
    join(remover);
    assert_true(visit.over_when_removed);
    assert_int_equal(population, 0);
    vmm_bus_free(visit.bus);
}

struct duel {
    struct vmm_bus *bus;
    pthread_barrier_t both_inside;
};

/* Remove the other one while it does the same to us. */
static void strike(struct tenant *tenant)
{
    struct duel *duel = tenant->context;
    pthread_barrier_wait(&duel->both_inside);
    vmm_bus_remove(duel->bus, tenant->answer == 1 ? 0x200 : 0x100, NULL);
}

static void *strike_from_200(void *context)
{
    struct duel *duel = context;
    uint8_t byte;
    vmm_bus_read(duel->bus, 0x200, &byte, 1);
    return NULL;
}

static void devices_can_remove_each_other_at_once(void **state)
{
    (void)state;
    atomic_uint population = 0;
    struct duel duel = {.bus = new_bus()};
    pthread_barrier_init(&duel.both_inside, NULL, 2);
    for (uint8_t i = 1; i <= 2; i++) {
        struct tenant *tenant =
            tenant_add(duel.bus, 0x100 * i, 1, i, &population);
        tenant->during = strike;
        tenant->context = &duel;
    }
    pthread_t second;
    uint8_t byte;
    pthread_create(&second, NULL, strike_from_200, &duel);
    assert_int_equal(vmm_bus_read(duel.bus, 0x100, &byte, 1), 0);
    join(second);
    assert_int_equal(population, 0);
    pthread_barrier_destroy(&duel.both_inside);
    vmm_bus_free(duel.bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accesses_see_a_whole_array_while_ranges_change),
        cmocka_unit_test(a_device_can_leave_while_others_are_at_it),
        cmocka_unit_test(remove_waits_for_accesses_of_other_threads),
        cmocka_unit_test(devices_can_remove_each_other_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
