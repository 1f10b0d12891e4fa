/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* MSI-X and legacy interrupts of PCI functions: masks, pending bits, routes,
 * and a guest that writes what it should not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pci_probe.h"

#define TABLE (FIRST + PROBE_TABLE)
#define PBA   (FIRST + PROBE_PBA)

static int set_up(void **state)
{
    static struct pci p;

    pci_set_up(&p);
    set_decoded(&p, 1, true);
    *state = &p;
    return 0;
}

static int tear_down(void **state)
{
    pci_tear_down(*state);
    return 0;
}

static struct vmm_pci_function *function(struct pci *p)
{
    return &p->probe[0]->function;
}

static void set_flags(struct pci *p, uint16_t flags)
{
    unsigned msix = find_capability(p->mmio, 1, PCI_CAP_ID_MSIX, 0);

    config_put(p, 1, msix + PCI_MSIX_FLAGS, flags, 2);
}

static void set_entry(struct pci *p, unsigned vector, uint64_t address,
                      uint32_t data, bool masked)
{
    store_at(p->mmio, TABLE + 16 * vector, address, 8);
    store_at(p->mmio, TABLE + 16 * vector + 8, data, 4);
    store_at(p->mmio, TABLE + 16 * vector + 12, masked, 4);
}

static void set_masked(struct pci *p, unsigned vector, bool masked)
{
    store_at(p->mmio, TABLE + 16 * vector + 12, masked, 4);
}

static uint64_t pending(struct pci *p)
{
    return load_at(p->mmio, PBA, 8);
}

/* ---- MSI-X ---- */

static void the_capability_says_where_the_table_is(void **state)
{
    struct pci *p = *state;
    unsigned msix = find_capability(p->mmio, 1, PCI_CAP_ID_MSIX, 0);

    assert_int_equal(config_get(p, 1, msix + PCI_MSIX_FLAGS, 2), VECTORS - 1);
    assert_int_equal(config_get(p, 1, msix + PCI_MSIX_TABLE, 4), PROBE_TABLE);
    assert_int_equal(config_get(p, 1, msix + PCI_MSIX_PBA, 4), PROBE_PBA);
    for (unsigned vector = 0; vector < VECTORS; vector++)
        assert_int_equal(load_at(p->mmio, TABLE + 16 * vector + 12, 4), 1);
}

static void a_vector_sends_the_message_that_its_entry_says(void **state)
{
    struct pci *p = *state;
    struct messages *m = &p->messages[0];

    set_flags(p, PCI_MSIX_FLAGS_ENABLE);
    set_entry(p, 2, 0xfee01004, 0x51, false);
    assert_int_equal(m->routes[2], 1);
    vmm_pci_raise(function(p), 2);
    assert_int_equal(m->raises[2], 1);
    assert_int_equal(m->sent_address, 0xfee01004);
    assert_int_equal(m->sent_data, 0x51);
    assert_int_equal(load_at(p->mmio, TABLE + 32, 8), 0xfee01004);
    assert_int_equal(load_at(p->mmio, TABLE + 40, 8), 0x51);
}

static void a_message_that_changes_is_routed_anew(void **state)
{
    struct pci *p = *state;
    struct messages *m = &p->messages[0];

    set_flags(p, PCI_MSIX_FLAGS_ENABLE);
    set_entry(p, 0, 0xfee00000, 0x40, false);
    set_masked(p, 0, true);
    set_masked(p, 0, false);
    assert_int_equal(m->routes[0], 1); /* it has not changed */
    store_at(p->mmio, TABLE + 8, 0x41, 4);
    vmm_pci_raise(function(p), 0);
    assert_int_equal(m->sent_data, 0x41);
}

static void a_masked_vector_is_pending_until_it_is_unmasked(void **state)
{
    struct pci *p = *state;
    struct messages *m = &p->messages[0];

    set_flags(p, PCI_MSIX_FLAGS_ENABLE);
    set_entry(p, 1, 0xfee00000, 0x40, true);
    set_entry(p, 3, 0xfee00000, 0x43, true);
    vmm_pci_raise(function(p), 1);
    vmm_pci_raise(function(p), 1);
    vmm_pci_raise(function(p), 3);
    assert_int_equal(pending(p), 0xa);
    assert_int_equal(m->raises[1], 0);
    set_entry(p, 1, 0xfee00000, 0x44, false); /* changed while pending */
    assert_int_equal(m->raises[1], 1);
    assert_int_equal(m->sent_data, 0x44);
    assert_int_equal(pending(p), 8);
}

static void the_function_s_mask_masks_all(void **state)
{
    struct pci *p = *state;
    struct messages *m = &p->messages[0];

    set_flags(p, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    set_entry(p, 0, 0xfee00000, 0x40, false);
    set_entry(p, 1, 0xfee00000, 0x41, true);
    vmm_pci_raise(function(p), 0);
    vmm_pci_raise(function(p), 1);
    assert_int_equal(pending(p), 3);
    set_flags(p, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(m->raises[0], 1);
    assert_int_equal(m->raises[1], 0);
    assert_int_equal(pending(p), 2);
}

static void nothing_is_sent_or_noted_while_it_is_off(void **state)
{
    struct pci *p = *state;

    set_entry(p, 0, 0xfee00000, 0x40, false);
    vmm_pci_raise(function(p), 0);
    assert_int_equal(pending(p), 0);
    set_flags(p, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(p->messages[0].raises[0], 0);
}

static void vectors_that_there_are_not_do_nothing(void **state)
{
    struct pci *p = *state;

    set_flags(p, PCI_MSIX_FLAGS_ENABLE);
    for (unsigned vector = VECTORS; vector < 256; vector++) {
        set_entry(p, vector, 0xfee00000, vector, false);
        vmm_pci_raise(function(p), vector);
        assert_int_equal(load_at(p->mmio, TABLE + 16 * vector, 8), 0);
    }
    vmm_pci_raise(function(p), UINT32_MAX);
    assert_int_equal(pending(p), 0);
    for (uint64_t at = PBA; at < PBA + 0x1000; at += 8)
        assert_int_equal(load_at(p->mmio, at, 8), 0);
    set_entry(p, 3, 0xfee00000, 0x40, false);
    vmm_pci_raise(function(p), 3);
    assert_int_equal(p->messages[0].raises[3], 1);
}

static void a_message_that_the_host_refuses_waits_for_another(void **state)
{
    struct pci *p = *state;
    struct messages *m = &p->messages[0];

    set_flags(p, PCI_MSIX_FLAGS_ENABLE);
    m->refuse = true;
    set_entry(p, 0, UINT64_MAX, UINT32_MAX, false);
    vmm_pci_raise(function(p), 0);
    assert_int_equal(m->raises[0], 0);
    assert_int_equal(pending(p), 1);
    m->refuse = false;
    set_entry(p, 0, 0xfee00000, 0x40, false);
    assert_int_equal(m->raises[0], 1);
    assert_int_equal(pending(p), 0);
}

static void the_table_takes_aligned_words_only(void **state)
{
    struct pci *p = *state;

    for (size_t size = 1; size <= 8; size++)
        for (unsigned offset = 0; offset < 24; offset++) {
            if ((size == 4 || size == 8) && offset % size == 0)
                continue;
            store_at(p->mmio, TABLE + offset, UINT64_MAX, size);
            assert_int_equal(load_at(p->mmio, TABLE + offset, size), 0);
        }
    assert_int_equal(load_at(p->mmio, TABLE, 8), 0);
    assert_int_equal(load_at(p->mmio, TABLE + 8, 8), UINT64_C(1) << 32);
    store_at(p->mmio, TABLE + 12, UINT32_MAX, 4); /* reserved bits */
    assert_int_equal(load_at(p->mmio, TABLE + 12, 4), 1);
    store_at(p->mmio, PBA, UINT64_MAX, 8);
    assert_int_equal(pending(p), 0);
}

/* ---- the legacy interrupt ---- */

static void the_line_follows_the_function(void **state)
{
    struct pci *p = *state;

    vmm_pci_set_intx(function(p), true);
    assert_true(p->wire.high);
    assert_true(config_get(p, 1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
    vmm_pci_set_intx(function(p), true);
    assert_int_equal(p->wire.changes, 1);
    vmm_pci_set_intx(function(p), false);
    assert_false(p->wire.high);
    assert_false(config_get(p, 1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
}

static void a_shared_line_is_high_while_anybody_drives_it(void **state)
{
    struct pci *p = *state;

    vmm_pci_set_intx(&p->probe[0]->function, true);
    vmm_pci_set_intx(&p->probe[1]->function, true);
    vmm_pci_set_intx(&p->probe[0]->function, false);
    assert_true(p->wire.high);
    vmm_pci_set_intx(&p->probe[1]->function, false);
    assert_false(p->wire.high);
    assert_int_equal(p->wire.changes, 2);
}

static void the_command_register_can_disable_it(void **state)
{
    struct pci *p = *state;

    vmm_pci_set_intx(function(p), true);
    config_put(p, 1, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
    assert_false(p->wire.high);
    assert_true(config_get(p, 1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
    config_put(p, 1, PCI_COMMAND, 0, 2);
    assert_true(p->wire.high);
}

static void it_is_quiet_while_msix_is_on(void **state)
{
    struct pci *p = *state;

    vmm_pci_set_intx(function(p), true);
    set_flags(p, PCI_MSIX_FLAGS_ENABLE);
    assert_false(p->wire.high);
    vmm_pci_set_intx(function(p), false);
    vmm_pci_set_intx(function(p), true);
    assert_int_equal(p->wire.changes, 2);
    set_flags(p, 0);
    assert_true(p->wire.high);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_capability_says_where_the_table_is),
        TEST(a_vector_sends_the_message_that_its_entry_says),
        TEST(a_message_that_changes_is_routed_anew),
        TEST(a_masked_vector_is_pending_until_it_is_unmasked),
        TEST(the_function_s_mask_masks_all),
        TEST(nothing_is_sent_or_noted_while_it_is_off),
        TEST(vectors_that_there_are_not_do_nothing),
        TEST(a_message_that_the_host_refuses_waits_for_another),
        TEST(the_table_takes_aligned_words_only),
        TEST(the_line_follows_the_function),
        TEST(a_shared_line_is_high_while_anybody_drives_it),
        TEST(the_command_register_can_disable_it),
        TEST(it_is_quiet_while_msix_is_on),
    };

    return cmocka_run_group_tests_name("pci_interrupts", tests, NULL, NULL);
}
