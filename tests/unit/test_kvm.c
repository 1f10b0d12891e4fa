/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Opening KVM, and what it says of the host. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kvm/internal.h"
#include "tiny_guest.h"

/* ---- opening ------------------------------------------------------------ */

static void a_missing_device_says_what_to_load(void **state)
{
    struct vmm_kvm *kvm = NULL;

    (void)state;
    assert_refused(vmm_kvm_open("/nonexistent/kvm", &kvm, &err), ENOENT,
                   "/nonexistent/kvm does not exist: load the kvm_intel or "
                   "kvm_amd module, or let this machine's hypervisor or "
                   "container pass KVM through; without either, run the same "
                   "command under `vmm-reference lab`");
    assert_null(kvm);
}

static void a_forbidden_device_says_which_group_helps(void **state)
{
    char path[] = "/tmp/forbidden-kvm-XXXXXX", expected[300];
    struct vmm_kvm *kvm = NULL;
    uid_t user = geteuid();
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0), 0);
    snprintf(expected, sizeof(expected),
             "%s: permission denied: add this user to the group that owns it "
             "(usermod -aG kvm NAME, then log in again), or run as root",
             path);
    if (user == 0)
        assert_int_equal(seteuid(65534), 0);
    struct vmm_error err;
    int r = vmm_kvm_open(path, &kvm, &err);
    assert_int_equal(seteuid(user), 0);
    unlink(path);
    close(fd);
    assert_string_equal(err.text, expected);
    assert_int_equal(r, -EACCES);
}

static void a_device_without_a_driver_says_what_to_load(void **state)
{
    char path[] = "/tmp/driverless-kvm-XXXXXX", expected[200];
    struct vmm_kvm *kvm = NULL;

    (void)state;
    assert_non_null(mkdtemp(path));
    rmdir(path);
    /* Major 511 is beyond what drivers of char devices take. */
    if (mknod(path, S_IFCHR | 0600, makedev(511, 1)) < 0) {
        print_message("SKIPPED: mknod needs root\n");
        skip();
    }
    struct vmm_error err;
    int r = vmm_kvm_open(path, &kvm, &err);
    unlink(path);
    if (r == -EACCES || r == -EPERM) {
        print_message("SKIPPED: /tmp allows no devices\n");
        skip();
    }
    snprintf(expected, sizeof(expected),
             "%s has no driver behind it: load the kvm_intel or kvm_amd module",
             path);
    assert_string_equal(err.text, expected);
    assert_int_equal(r, -ENXIO);
}

static void a_file_that_is_not_kvm_is_refused(void **state)
{
    struct vmm_kvm *kvm = NULL;

    (void)state;
    assert_refused(vmm_kvm_open("/dev/null", &kvm, &err), ENOTTY,
                   "/dev/null is not KVM: KVM_GET_API_VERSION: Inappropriate "
                   "ioctl for device");
    assert_refused(vmm_kvm_open("/tmp", &kvm, &err), EISDIR,
                   "open /tmp: Is a directory");
    assert_null(kvm);
}

static void a_text_is_optional(void **state)
{
    struct vmm_kvm *kvm = NULL;

    (void)state;
    assert_int_equal(vmm_kvm_open("/nonexistent", &kvm, NULL), -ENOENT);
    vmm_kvm_close(NULL);
}

/* ---- capabilities ------------------------------------------------------- */

static int has_all(void *context, int capability)
{
    (void)context;
    (void)capability;
    return 1;
}

static int lacks_two(void *context, int capability)
{
    (void)context;
    return capability != KVM_CAP_IRQFD && capability != KVM_CAP_IMMEDIATE_EXIT;
}

static int has_none(void *context, int capability)
{
    (void)context;
    (void)capability;
    return 0;
}

static void each_missing_capability_is_named(void **state)
{
    (void)state;
    assert_ok(vmm_kvm_check_required(has_all, NULL, &err));
    assert_refused(vmm_kvm_check_required(lacks_two, NULL, &err), ENOTSUP,
                   "this kernel's KVM lacks KVM_CAP_IRQFD, "
                   "KVM_CAP_IMMEDIATE_EXIT");
    assert_refused(
        vmm_kvm_check_required(has_none, NULL, &err), ENOTSUP,
        "this kernel's KVM lacks KVM_CAP_IRQCHIP, KVM_CAP_USER_MEMORY, "
        "KVM_CAP_DESTROY_MEMORY_REGION_WORKS, KVM_CAP_SET_TSS_ADDR, "
        "KVM_CAP_SET_IDENTITY_MAP_ADDR, KVM_CAP_EXT_CPUID, KVM_CAP_MP_STATE, "
        "KVM_CAP_IRQ_ROUTING, KVM_CAP_IRQFD, KVM_CAP_IOEVENTFD, "
        "KVM_CAP_SIGNAL_MSI, KVM_CAP_IMMEDIATE_EXIT");
}

static void capabilities_are_found_by_name(void **state)
{
    (void)state;
    assert_int_equal(vmm_kvm_capability_number("KVM_CAP_IRQFD"), 32);
    assert_int_equal(vmm_kvm_capability_number("irqfd"), 32);
    assert_int_equal(vmm_kvm_capability_number("kvm_cap_xsave2"), 208);
    assert_int_equal(vmm_kvm_capability_number("IRQCHIP"), 0);
    assert_int_equal(vmm_kvm_capability_number("irqf"), -ENOENT);
    assert_int_equal(vmm_kvm_capability_number("irqfd "), -ENOENT);
    assert_int_equal(vmm_kvm_capability_number("KVM_CAP_"), -ENOENT);
    assert_int_equal(vmm_kvm_capability_number(""), -ENOENT);
}

static void every_capability_name_leads_back_to_its_number(void **state)
{
    unsigned named = 0;

    (void)state;
    for (int number = 0; number < 1000; number++) {
        const char *name = vmm_kvm_capability_name(number);

        if (!name)
            continue;
        assert_int_equal(vmm_kvm_capability_number(name), number);
        named++;
    }
    assert_true(named > 100);
}

static void capabilities_are_asked_of_the_kernel(void **state)
{
    struct vmm_kvm *kvm = tiny_kvm(state);

    assert_true(vmm_kvm_capability(kvm, KVM_CAP_NR_VCPUS) >= 1);
    assert_int_equal(vmm_kvm_capability(kvm, 99999), 0);
}

/* ---- the host ----------------------------------------------------------- */

static void hardware_is_what_proc_cpuinfo_says(void **state)
{
    FILE *cpuinfo = fopen("/proc/cpuinfo", "r");
    char line[8192];
    bool flags = false, hardware = false;

    (void)state;
    assert_non_null(cpuinfo);
    while (!flags && fgets(line, sizeof(line), cpuinfo)) {
        flags = strncmp(line, "flags", 5) == 0;
        hardware = flags && (strstr(line, " vmx ") || strstr(line, " svm "));
    }
    fclose(cpuinfo);
    assert_true(flags);
    assert_int_equal(vmm_kvm_hardware(), hardware);
}

static void supported_cpuid_is_asked_once(void **state)
{
    struct vmm_kvm *kvm = tiny_kvm(state);
    const struct kvm_cpuid2 *first, *second;
    bool leaf_1 = false;

    assert_ok(vmm_kvm_supported_cpuid(kvm, &first, &err));
    assert_ok(vmm_kvm_supported_cpuid(kvm, &second, &err));
    assert_ptr_equal(first, second);
    assert_in_range(first->nent, 2, VMM_CPUID_ENTRIES_MAX);
    for (uint32_t i = 0; i < first->nent; i++)
        leaf_1 |= first->entries[i].function == 1;
    assert_true(leaf_1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_device_says_what_to_load),
        cmocka_unit_test(a_forbidden_device_says_which_group_helps),
        cmocka_unit_test(a_device_without_a_driver_says_what_to_load),
        cmocka_unit_test(a_file_that_is_not_kvm_is_refused),
        cmocka_unit_test(a_text_is_optional),
        cmocka_unit_test(each_missing_capability_is_named),
        cmocka_unit_test(capabilities_are_found_by_name),
        cmocka_unit_test(every_capability_name_leads_back_to_its_number),
        cmocka_unit_test(capabilities_are_asked_of_the_kernel),
        cmocka_unit_test(hardware_is_what_proc_cpuinfo_says),
        cmocka_unit_test(supported_cpuid_is_asked_once),
    };

    return cmocka_run_group_tests(tests, tiny_open_kvm, tiny_close_kvm);
}
