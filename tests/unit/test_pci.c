/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The PCI host bridge: configuration space by memory and by ports, BARs that
 * are sized, moved and put where they do not belong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pci_probe.h"

static int set_up(void **state)
{
    static struct pci p;

    pci_set_up(&p);
    *state = &p;
    return 0;
}

static int tear_down(void **state)
{
    pci_tear_down(*state);
    return 0;
}

static void set_bar(struct pci *p, unsigned slot, uint64_t base)
{
    config_put(p, slot, PCI_BASE_ADDRESS_0, (uint32_t)base, 4);
    config_put(p, slot, PCI_BASE_ADDRESS_1, (uint32_t)(base >> 32), 4);
}

/* Is an access at base one to this probe? */
static bool answers(struct pci *p, struct probe *probe, uint64_t base)
{
    unsigned before = probe->reads;

    load_at(p->mmio, base, 4);
    return probe->reads == before + 1;
}

/* ---- configuration space ---- */

static void a_function_says_what_it_is(void **state)
{
    struct pci *p = *state;

    assert_int_equal(config_get(p, 1, PCI_VENDOR_ID, 4), 0x56781234);
    assert_int_equal(config_get(p, 1, PCI_CLASS_REVISION, 4), 0x08000003);
    assert_int_equal(config_get(p, 1, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xdef09abc);
    assert_int_equal(config_get(p, 1, PCI_HEADER_TYPE, 1), 0);
    assert_int_equal(config_get(p, 0, PCI_CLASS_REVISION + 2, 2), 0x0600);
}

static void what_is_not_there_reads_as_all_ones(void **state)
{
    struct pci *p = *state;

    for (unsigned slot = 0; slot < 32; slot++)
        for (unsigned function = 0; function < 8; function++) {
            uint64_t at = ECAM + (slot << 15) + (function << 12);

            if (slot < 3 && function == 0)
                continue;
            assert_int_equal(load_at(p->mmio, at, 4), 0xffffffff);
            assert_int_equal(load_at(p->mmio, at + 0xffc, 4), 0xffffffff);
            store_at(p->mmio, at + PCI_COMMAND, 0xffff, 2);
        }
}

static void there_are_no_extended_capabilities(void **state)
{
    struct pci *p = *state;

    assert_int_equal(config_get(p, 1, 0x100, 4), 0);
    config_put(p, 1, 0x100, UINT32_MAX, 4);
    assert_int_equal(config_get(p, 1, 0xffc, 4), 0);
}

/* All of it is written with both values; what changes is what may. */
static void only_what_may_be_written_can_be(void **state)
{
    struct pci *p = *state;
    uint8_t before[256], after[256], changed[256] = {0};

    for (unsigned i = 0; i < 256; i++)
        before[i] = (uint8_t)config_get(p, 1, i, 1);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 256; i++)
            config_put(p, 1, i, round ? 0 : 0xff, 1);
        for (unsigned i = 0; i < 256; i++) {
            after[i] = (uint8_t)config_get(p, 1, i, 1);
            changed[i] |= before[i] ^ after[i];
        }
    }
    uint8_t expected[256] = {0};
    unsigned msix = find_capability(p->mmio, 1, PCI_CAP_ID_MSIX, 0);
    expected[PCI_COMMAND] = 0x46;
    expected[PCI_COMMAND + 1] = 0x05;
    expected[PCI_CACHE_LINE_SIZE] = expected[PCI_INTERRUPT_LINE] = 0xff;
    memcpy(expected + PCI_BASE_ADDRESS_0, "\0\xc0\xff\xff\xff\xff\xff\xff", 8);
    expected[msix + PCI_MSIX_FLAGS + 1] = 0xc0;
    for (unsigned i = 0; i < 256; i++)
        if ((changed[i] | expected[i]) != expected[i])
            fail_msg("byte 0x%x: 0x%x has changed, only 0x%x may", i,
                     changed[i], expected[i]);
    assert_int_equal(changed[PCI_COMMAND], 0x46);
    assert_int_equal(changed[msix + PCI_MSIX_FLAGS + 1], 0xc0);
}

static void it_is_read_and_written_at_any_width_and_offset(void **state)
{
    struct pci *p = *state;
    uint8_t bytes[256];

    for (unsigned i = 0; i < 256; i++)
        bytes[i] = (uint8_t)config_get(p, 1, i, 1);
    for (unsigned offset = 0; offset < 256; offset++)
        for (size_t size = 1; size <= 8 && offset + size <= 256; size++) {
            uint64_t value = load_at(p->mmio, config_at(1, offset), size);

            assert_memory_equal(&value, bytes + offset, size);
        }
    store_at(p->mmio, config_at(1, PCI_COMMAND + 1), 0xffff04ffffffff, 7);
    assert_int_equal(config_get(p, 1, PCI_COMMAND, 2), 0x0500);
    assert_int_equal(config_get(p, 1, PCI_CLASS_REVISION, 1), 3);
    /* From the last function's end into the next one. */
    assert_int_equal(load_at(p->mmio, config_at(1, 0) - 4, 8),
                     0x56781234ffffffff);
}

static void ports_lead_to_the_same(void **state)
{
    struct pci *p = *state;

    store_at(p->pio, 0xcf8, 0x80000000 | 1 << 11 | PCI_VENDOR_ID, 4);
    assert_int_equal(load_at(p->pio, 0xcf8, 4), 0x80000800);
    assert_int_equal(load_at(p->pio, 0xcfc, 4), 0x56781234);
    assert_int_equal(load_at(p->pio, 0xcfe, 2), 0x5678);
    assert_int_equal(load_at(p->pio, 0xcff, 1), 0x56);
    store_at(p->pio, 0xcf8, 0x80000000 | 1 << 11 | PCI_INTERRUPT_LINE, 4);
    store_at(p->pio, 0xcfc, 11, 1);
    assert_int_equal(config_get(p, 1, PCI_INTERRUPT_LINE, 1), 11);
}

static void ports_give_all_ones_for_what_is_not_there(void **state)
{
    struct pci *p = *state;
    static const uint32_t nothing[] = {
        1 << 11,               /* not enabled */
        0x80000000 | 3 << 11,  /* no device */
        0x80000900,            /* no function 1 */
        0x80010800,            /* no bus 1 */
        0x80000000 | 31 << 11, /* the last slot */
    };

    for (size_t i = 0; i < sizeof(nothing) / sizeof(*nothing); i++) {
        store_at(p->pio, 0xcf8, nothing[i], 4);
        assert_int_equal(load_at(p->pio, 0xcfc, 4), 0xffffffff);
        store_at(p->pio, 0xcfc, UINT32_MAX, 4);
    }
    /* Parts of CONFIG_ADDRESS are no register. */
    store_at(p->pio, 0xcf8, 0x80000800, 4);
    store_at(p->pio, 0xcf9, 6, 1);
    store_at(p->pio, 0xcfa, 0xffff, 2);
    assert_int_equal(load_at(p->pio, 0xcf8, 4), 0x80000800);
    assert_int_equal(load_at(p->pio, 0xcfa, 2), 0xffff);
    /* Across both registers. */
    assert_int_equal(load_at(p->pio, 0xcfa, 4), 0xffffffff);
}

static void capabilities_are_refused_when_they_do_not_fit(void **state)
{
    struct pci *p = *state;
    struct vmm_pci_function *function = &p->probe[0]->function;
    uint8_t bytes[64] = {0};

    while (vmm_pci_add_capability(function, PCI_CAP_ID_VNDR, bytes, NULL, 60) >
           0)
        ;
    assert_int_equal(
        vmm_pci_add_capability(function, PCI_CAP_ID_VNDR, bytes, NULL, 64),
        -ENOSPC);
    assert_in_range(function->capabilities_end, 0xc1, 0x100);
    assert_int_equal(
        vmm_pci_add_capability(function, PCI_CAP_ID_VNDR, bytes, NULL, 1),
        -ENOSPC);
}

/* ---- slots ---- */

static void a_slot_has_one_function_and_the_first_is_the_bridge_s(void **state)
{
    struct pci *p = *state;
    static const unsigned taken[] = {0, 1, 32};
    bool destroyed;
    struct vmm_error err;

    for (size_t i = 0; i < 3; i++) {
        struct probe *probe = probe_new(0, &p->messages[0]);

        destroyed = false;
        probe->destroyed = &destroyed;
        assert_int_equal(
            vmm_pci_host_add(p->host, taken[i], &probe->function, &err),
            taken[i] == 1 ? -EBUSY : -EINVAL);
        assert_true(destroyed);
    }
    struct probe *probe = probe_new(0, &p->messages[0]);
    assert_int_equal(vmm_pci_host_add(&p->probe[0]->function.device, 3,
                                      &probe->function, &err),
                     -EINVAL);
}

static void bars_that_cannot_be_are_refused(void **state)
{
    struct pci *p = *state;
    struct vmm_pci_function *function = &p->probe[0]->function;
    struct vmm_error err;

    assert_int_equal(vmm_pci_add_bar(function, 0, 0x3000, 0, &err), -EINVAL);
    assert_int_equal(vmm_pci_add_bar(function, 0, 0x800, 0, &err), -EINVAL);
    assert_int_equal(vmm_pci_add_bar(function, 0, 0x4000, 0x2000, &err),
                     -EINVAL);
    assert_int_equal(vmm_pci_add_bar(function, 1, 0x4000, 0, &err), -EINVAL);
}

/* ---- BARs ---- */

static void a_bar_tells_its_size(void **state)
{
    struct pci *p = *state;

    set_bar(p, 1, UINT64_MAX);
    assert_int_equal(config_get(p, 1, PCI_BASE_ADDRESS_0, 4), 0xffffc004);
    assert_int_equal(config_get(p, 1, PCI_BASE_ADDRESS_1, 4), 0xffffffff);
    for (unsigned offset = PCI_BASE_ADDRESS_2; offset <= PCI_BASE_ADDRESS_5;
         offset += 4) {
        config_put(p, 1, offset, UINT32_MAX, 4);
        assert_int_equal(config_get(p, 1, offset, 4), 0);
    }
    config_put(p, 1, PCI_ROM_ADDRESS, UINT32_MAX, 4);
    assert_int_equal(config_get(p, 1, PCI_ROM_ADDRESS, 4), 0);
}

static void a_bar_is_decoded_while_the_guest_wants_it(void **state)
{
    struct pci *p = *state;
    struct probe *probe = p->probe[0];

    assert_false(answers(p, probe, FIRST));
    set_decoded(p, 1, true);
    assert_true(answers(p, probe, FIRST));
    assert_true(probe->placed);
    assert_int_equal(probe->placed_at, FIRST);
    set_decoded(p, 1, false);
    assert_false(answers(p, probe, FIRST));
    assert_false(probe->placed);
    assert_int_equal(probe->placed_at, FIRST);
}

static void a_bar_moves_with_its_register(void **state)
{
    struct pci *p = *state;
    struct probe *probe = p->probe[0];

    set_decoded(p, 1, true);
    set_bar(p, 1, 0xd8800000);
    assert_false(answers(p, probe, FIRST));
    assert_true(answers(p, probe, 0xd8800000));
    assert_int_equal(probe->placed_at, 0xd8800000);
    assert_int_equal(probe->placements, 3);
    set_bar(p, 1, 0xd8800000); /* no move */
    assert_int_equal(probe->placements, 3);
}

static void assert_nowhere(struct pci *p, uint64_t base)
{
    struct probe *probe = p->probe[0];

    set_bar(p, 1, base);
    assert_false(probe->placed);
    assert_false(answers(p, probe, base));
}

static void a_bar_outside_of_the_windows_is_not_decoded(void **state)
{
    struct pci *p = *state;
    static const uint64_t places[] = {
        0,
        0x100000,             /* RAM */
        ECAM,                 /* configuration space itself */
        0xfec00000,           /* the I/O APIC */
        WINDOW - PROBE_BYTES, /* below, above */
        WINDOW + WINDOW_BYTES,
        UINT64_C(1) << 51,
        UINT64_MAX - PROBE_BYTES + 1, /* the top of the address space */
        UINT64_C(0xd800000000000000),
    };

    set_decoded(p, 1, true);
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
        assert_nowhere(p, places[i]);
    assert_int_equal(config_get(p, 1, PCI_VENDOR_ID, 4), 0x56781234);
    set_bar(p, 1, FIRST);
    assert_true(answers(p, p->probe[0], FIRST));
}

static void a_bar_over_another_device_waits_until_that_has_gone(void **state)
{
    struct pci *p = *state;

    set_decoded(p, 1, true);
    set_decoded(p, 2, true);
    set_bar(p, 1, SECOND);
    assert_false(p->probe[0]->placed);
    assert_true(answers(p, p->probe[1], SECOND));
    set_bar(p, 2, FIRST);
    assert_true(answers(p, p->probe[0], SECOND));
    assert_true(answers(p, p->probe[1], FIRST));
}

static void bars_can_change_places_in_one_go(void **state)
{
    struct pci *p = *state;

    set_decoded(p, 1, true);
    set_decoded(p, 2, true);
    for (int i = 0; i < 1000; i++) {
        set_bar(p, 1, i & 1 ? FIRST : SECOND);
        set_bar(p, 2, i & 1 ? SECOND : FIRST);
    }
    assert_true(answers(p, p->probe[0], FIRST));
    assert_true(answers(p, p->probe[1], SECOND));
}

static void a_bar_over_a_device_of_the_bus_leaves_that_alone(void **state)
{
    struct pci *p = *state;
    struct vmm_error err;
    struct probe *other = probe_new(0, &p->messages[0]);

    assert_int_equal(vmm_bus_add(p->mmio, 0xd8402000, 0x1000,
                                 &other->function.device, 0, &err),
                     0);
    set_decoded(p, 1, true);
    assert_nowhere(p, 0xd8400000);
    assert_true(answers(p, other, 0xd8402000));
    set_bar(p, 1, FIRST);
    assert_true(answers(p, p->probe[0], FIRST));
    vmm_device_unref(&other->function.device);
}

static void functions_outlive_the_bridge_on_the_bus(void **state)
{
    struct pci *p = *state;
    struct probe *probe = p->probe[0];
    struct vmm_error err;
    bool destroyed = false;

    probe->destroyed = &destroyed;
    set_decoded(p, 1, true);
    assert_int_equal(vmm_bus_remove(p->pio, 0xcf8, &err), 0);
    assert_int_equal(vmm_bus_remove(p->mmio, ECAM, &err), 0);
    vmm_device_unref(p->host);
    p->host = NULL;
    assert_false(destroyed);
    assert_true(answers(p, probe, FIRST));
    vmm_pci_set_intx(&probe->function, true);
    assert_int_equal(p->wire.changes, 0);
    assert_int_equal(vmm_bus_remove(p->mmio, FIRST, &err), 0);
    assert_true(destroyed);
}

static void a_reset_restores_everything(void **state)
{
    struct pci *p = *state;

    set_decoded(p, 1, true);
    set_bar(p, 1, 0xd8800000);
    config_put(p, 1, PCI_INTERRUPT_LINE, 77, 1);
    store_at(p->pio, 0xcf8, 0x80000800, 4);
    vmm_pci_set_intx(&p->probe[0]->function, true);
    assert_true(p->wire.high);
    vmm_device_reset(p->host);
    assert_false(p->wire.high);
    assert_false(answers(p, p->probe[0], 0xd8800000));
    assert_int_equal(config_get(p, 1, PCI_BASE_ADDRESS_0, 4), FIRST | 4);
    assert_int_equal(config_get(p, 1, PCI_INTERRUPT_LINE, 1), 0);
    assert_int_equal(load_at(p->pio, 0xcf8, 4), 0);
    set_decoded(p, 1, true);
    assert_true(answers(p, p->probe[0], FIRST));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_function_says_what_it_is),
        TEST(what_is_not_there_reads_as_all_ones),
        TEST(there_are_no_extended_capabilities),
        TEST(only_what_may_be_written_can_be),
        TEST(it_is_read_and_written_at_any_width_and_offset),
        TEST(ports_lead_to_the_same),
        TEST(ports_give_all_ones_for_what_is_not_there),
        TEST(capabilities_are_refused_when_they_do_not_fit),
        TEST(a_slot_has_one_function_and_the_first_is_the_bridge_s),
        TEST(bars_that_cannot_be_are_refused),
        TEST(a_bar_tells_its_size),
        TEST(a_bar_is_decoded_while_the_guest_wants_it),
        TEST(a_bar_moves_with_its_register),
        TEST(a_bar_outside_of_the_windows_is_not_decoded),
        TEST(a_bar_over_another_device_waits_until_that_has_gone),
        TEST(bars_can_change_places_in_one_go),
        TEST(a_bar_over_a_device_of_the_bus_leaves_that_alone),
        TEST(functions_outlive_the_bridge_on_the_bus),
        TEST(a_reset_restores_everything),
    };

    return cmocka_run_group_tests_name("pci", tests, NULL, NULL);
}
