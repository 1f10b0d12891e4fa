/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* One vCPU, run one exit at a time, and its state; needs KVM. */
#include <errno.h>
#include <string.h>

#include "tiny_guest.h"

static void port_output_comes_as_a_pio_write_with_its_byte(void **state)
{
    /* mov al, 'A'; out 0x42, al; hlt */
    static const uint8_t code[] = {0xb0, 'A', 0xe6, 0x42, 0xf4};
    struct tiny_guest g = tiny_new(*state, code, sizeof(code), false);
    struct vmm_error err;
    struct vmm_exit exit;

    assert_ok(vmm_vcpu_run_once(g.vcpu, &exit, &err), &err);
    assert_string_equal(vmm_exit_name(exit.type), "pio_write");
    assert_int_equal(exit.u.io.port, 0x42);
    assert_int_equal(exit.u.io.size, 1);
    assert_int_equal(exit.u.io.count, 1);
    assert_int_equal(exit.u.io.data[0], 'A');
    assert_ok(vmm_vcpu_run_once(g.vcpu, &exit, &err), &err);
    assert_string_equal(vmm_exit_name(exit.type), "halt");
    tiny_free(&g);
}

static int open_kvm(void **state)
{
    *state = NULL;
    struct vmm_error err;
    if (vmm_kvm_open(NULL, (struct vmm_kvm **)state, &err) < 0)
        print_message("SKIPPED, needs KVM: %s\n", err.text);
    return 0;
}

static int close_kvm(void **state)
{
    vmm_kvm_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_output_comes_as_a_pio_write_with_its_byte),
    };
    return cmocka_run_group_tests(tests, open_kvm, close_kvm);
}
