/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A whole machine: what each exit does to it, and its end at any time; needs
 * KVM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmm/machine.h>
#include <vmm/memory.h>

#define SECOND_NS   1000000000ll
#define DEADLINE_NS (20 * SECOND_NS)
#define CODE_GPA    0x1000

static struct vmm_error err;

#define assert_ok(call)                                                        \
    do {                                                                       \
        if ((call) < 0)                                                        \
            fail_msg("%s: %s", #call, err.text);                               \
    } while (0)

struct host {
    struct vmm_kvm *kvm;
    struct vmm_machine *machine;
    struct vmm_memory *memory;
};

/* A machine of real-mode vCPUs that all begin at CODE_GPA. */
static void begin(struct host *host, const uint8_t *code, size_t len,
                  uint32_t vcpus)
{
    struct vmm_memory_range range = {0, 0x10000};
    struct vmm_memory_config config = {.ranges = &range, .range_count = 1};

    if (vmm_kvm_open(NULL, &host->kvm, &err) < 0) {
        print_message("NO KVM HERE, its tests are skipped: %s\n", err.text);
        skip();
    }
    assert_ok(vmm_machine_new(host->kvm, "test", &host->machine, &err));
    assert_ok(vmm_memory_new(&config, &host->memory, &err));
    assert_ok(vmm_vm_map(vmm_machine_vm(host->machine), host->memory, &err));
    assert_ok(vmm_memory_write(host->memory, CODE_GPA, code, len));
    for (uint32_t id = 0; id < vcpus; id++) {
        struct kvm_regs regs = {.rip = CODE_GPA, .rflags = 2};
        struct kvm_sregs sregs;
        struct vmm_vcpu *vcpu;

        assert_ok(vmm_machine_add_vcpu(host->machine, id, &vcpu, &err));
        assert_ok(vmm_vcpu_get_sregs(vcpu, &sregs, &err));
        sregs.cs.base = 0;
        sregs.cs.selector = 0;
        assert_ok(vmm_vcpu_set_sregs(vcpu, &sregs, &err));
        assert_ok(vmm_vcpu_set_regs(vcpu, &regs, &err));
    }
}

static void end(struct host *host)
{
    assert_ok(vmm_machine_free(host->machine));
    vmm_memory_unref(host->memory);
    vmm_kvm_close(host->kvm);
}

static const uint8_t looping_code[] = {0xeb, 0xfe}; /* 1: jmp 1b */

/* ---- what an exit does ------------------------------------------------- */

struct outcome {
    struct vmm_exit exit;
    int returns;
    enum vmm_stop_reason reason;
    const char *text; /* its beginning */
};

static void assert_outcome(const struct outcome *outcome)
{
    struct vmm_exit exit = outcome->exit;
    struct vmm_stop stop;
    struct host host;

    begin(&host, looping_code, sizeof(looping_code), 1);
    assert_int_equal(vmm_machine_dispatch(host.machine,
                                          vmm_machine_vcpu(host.machine, 0),
                                          &exit),
                     outcome->returns);
    vmm_machine_stopped(host.machine, &stop);
    assert_string_equal(vmm_stop_reason_name(stop.reason),
                        vmm_stop_reason_name(outcome->reason));
    stop.text[strlen(outcome->text)] = '\0';
    assert_string_equal(stop.text, outcome->text);
    end(&host);
}

static void each_exit_that_ends_the_vm_says_why(void **state)
{
    (void)state;
    static const struct outcome outcomes[] = {
        {{.type = VMM_EXIT_HALT}, 1, VMM_STOP_HALT, "vCPU 0 halted"},
        {{.type = VMM_EXIT_SHUTDOWN},
         1,
         VMM_STOP_TRIPLE_FAULT,
         "vCPU 0 had a triple fault"},
        {{.type = VMM_EXIT_SYSTEM_EVENT,
          .u.system_event.type = KVM_SYSTEM_EVENT_RESET},
         1,
         VMM_STOP_REBOOT,
         ""},
        {{.type = VMM_EXIT_SYSTEM_EVENT,
          .u.system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN},
         1,
         VMM_STOP_POWEROFF,
         ""},
        {{.type = VMM_EXIT_SYSTEM_EVENT,
          .u.system_event.type = KVM_SYSTEM_EVENT_CRASH},
         1,
         VMM_STOP_PANIC,
         "the guest reported a crash"},
        {{.type = VMM_EXIT_FAIL_ENTRY, .u.fail_entry.reason = 0x80000021},
         1,
         VMM_STOP_ERROR,
         "vCPU 0: the CPU refused to enter the guest (hardware reason "
         "0x80000021): its registers are inconsistent at rip 0x1000 (16-bit, "
         "ring 0), bytes eb fe"},
        {{.type = VMM_EXIT_INTERNAL_ERROR,
          .u.internal = {KVM_INTERNAL_ERROR_EMULATION, 2, {0xcc, 0x90}}},
         1,
         VMM_STOP_ERROR,
         "vCPU 0: KVM could not emulate an instruction at rip 0x1000 (16-bit, "
         "ring 0), bytes cc 90"},
        {{.type = VMM_EXIT_INTERNAL_ERROR,
          .u.internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV},
         1,
         VMM_STOP_ERROR,
         "vCPU 0: KVM met an exit while delivering an event"},
        {{.type = VMM_EXIT_DEBUG, .number = KVM_EXIT_DEBUG},
         1,
         VMM_STOP_ERROR,
         "vCPU 0: nobody handles exit debug (KVM exit reason 4)"},
        {{.type = VMM_EXIT_UNKNOWN, .number = 99},
         1,
         VMM_STOP_ERROR,
         "vCPU 0: nobody handles exit unknown (KVM exit reason 99)"},
    };

    for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++)
        assert_outcome(&outcomes[i]);
}

static void an_access_that_no_device_wants_reads_all_ones(void **state)
{
    (void)state;
    uint8_t data[8] = {0};
    struct outcome pio = {.exit = {.type = VMM_EXIT_PIO_READ}, .text = ""};
    struct outcome mmio = {.exit = {.type = VMM_EXIT_MMIO_READ}, .text = ""};

    pio.exit.u.io.port = 0x123;
    pio.exit.u.io.size = 4;
    pio.exit.u.io.count = 1;
    pio.exit.u.io.data = data;
    assert_outcome(&pio);
    assert_memory_equal(data, "\xff\xff\xff\xff\0\0\0\0", 8);

    mmio.exit.u.mmio.gpa = 0xd0000000;
    mmio.exit.u.mmio.size = 8;
    mmio.exit.u.mmio.data = data;
    assert_outcome(&mmio);
    assert_memory_equal(data, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
}

static void an_msr_that_nobody_knows_gives_a_gp_fault(void **state)
{
    (void)state;
    uint64_t data = 0;
    uint8_t error = 0;
    struct outcome outcome = {.exit = {.type = VMM_EXIT_MSR_READ}, .text = ""};

    outcome.exit.u.msr.data = &data;
    outcome.exit.u.msr.error = &error;
    assert_outcome(&outcome);
    assert_int_equal(error, 1);
}

static void a_hypercall_that_nobody_serves_is_refused(void **state)
{
    (void)state;
    uint64_t ret = 0;
    struct outcome outcome = {.exit = {.type = VMM_EXIT_HYPERCALL}, .text = ""};

    outcome.exit.u.hypercall.ret = &ret;
    assert_outcome(&outcome);
    assert_int_equal((int64_t)ret, -1000);
}

static int take_it(void *context, struct vmm_vcpu *vcpu, struct vmm_exit *exit)
{
    (void)vcpu;
    *(enum vmm_exit_type *)context = exit->type;
    return 0;
}

static void the_hook_is_asked_before_the_vm_ends(void **state)
{
    (void)state;
    struct vmm_exit exit = {.type = VMM_EXIT_DEBUG, .number = KVM_EXIT_DEBUG};
    enum vmm_exit_type seen = VMM_EXIT_NONE;
    struct vmm_stop stop;
    struct host host;

    begin(&host, looping_code, sizeof(looping_code), 1);
    vmm_machine_set_hook(host.machine, take_it, &seen);
    assert_int_equal(vmm_machine_dispatch(host.machine,
                                          vmm_machine_vcpu(host.machine, 0),
                                          &exit),
                     0);
    assert_int_equal(seen, VMM_EXIT_DEBUG);
    vmm_machine_stopped(host.machine, &stop);
    assert_int_equal(stop.reason, VMM_STOP_NONE);
    end(&host);
}

/* ---- the end ----------------------------------------------------------- */

struct late_device {
    struct vmm_device device;
    sem_t *written;
    struct vmm_power_line power;
};

static void late_read(struct vmm_device *device, uint64_t offset,
                      uint8_t *value, size_t size)
{
    (void)device;
    (void)offset;
    (void)value;
    (void)size;
}

/* By the time it asks for the end, its machine is being freed. */
static void late_write(struct vmm_device *device, uint64_t offset,
                       const uint8_t *value, size_t size)
{
    struct late_device *late = (struct late_device *)device;
    struct timespec moment = {.tv_nsec = 50000000};

    (void)offset;
    (void)value;
    (void)size;
    sem_post(late->written);
    nanosleep(&moment, NULL);
    late->power.request(late->power.context, VMM_POWER_OFF);
}

static void late_destroy(struct vmm_device *device)
{
    free(device);
}

static void a_machine_may_be_freed_while_a_device_asks_for_its_end(void **state)
{
    (void)state;
    /* 1: out 0x10, al; jmp 1b */
    static const uint8_t code[] = {0xe6, 0x10, 0xeb, 0xfc};
    static const struct vmm_region_ops region = {late_read, late_write, 1};
    static const struct vmm_device_ops ops = {.name = "late",
                                              .destroy = late_destroy};
    struct host host;
    sem_t written;

    begin(&host, code, sizeof(code), 2); /* skips the test without KVM */
    struct late_device *late = calloc(1, sizeof(*late));
    assert_non_null(late);
    sem_init(&written, 0, 0);
    late->written = &written;
    vmm_machine_power_line(host.machine, &late->power);
    vmm_device_init(&late->device, &ops, &region, 1);
    assert_ok(vmm_bus_add(vmm_machine_pio(host.machine), 0x10, 1, &late->device,
                          0, &err));
    vmm_device_unref(&late->device);
    assert_ok(vmm_machine_start(host.machine, &err));
    sem_wait(&written);
    end(&host);
    sem_destroy(&written);
}

static void *stop_soon_after_start(void *argument)
{
    struct vmm_machine *machine = argument;
    struct vmm_vcpu *first = vmm_machine_vcpu(machine, 0);

    while (vmm_vcpu_thread_state(first) == VMM_VCPU_NO_THREAD)
        sched_yield();
    vmm_machine_stop(machine, VMM_STOP_CLOSED, "in the middle");
    return NULL;
}

static void a_stop_in_the_middle_of_the_start_reaches_all_vcpus(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct host host;
        pthread_t stopper;

        begin(&host, looping_code, sizeof(looping_code), 16);
        assert_int_equal(
            pthread_create(&stopper, NULL, stop_soon_after_start, host.machine),
            0);
        assert_ok(vmm_machine_start(host.machine, &err));
        pthread_join(stopper, NULL);
        assert_int_equal(vmm_machine_wait(host.machine, DEADLINE_NS), 0);
        end(&host);
    }
}

/* Put something that is no epoll fd in its place: the next wait fails. */
static void break_loop(void *context)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    dup2(null, vmm_loop_fd(vmm_machine_loop(context)));
    close(null);
}

static void a_machine_ends_with_its_io_thread(void **state)
{
    struct vmm_wakeup *wakeup;
    struct vmm_stop stop;
    struct host host;

    (void)state;
    begin(&host, looping_code, sizeof(looping_code), 2);
    assert_ok(vmm_loop_wakeup(vmm_machine_loop(host.machine), break_loop,
                              host.machine, &wakeup, &err));
    assert_ok(vmm_machine_start(host.machine, &err));
    vmm_wakeup_signal(wakeup);
    assert_int_equal(vmm_machine_wait(host.machine, DEADLINE_NS), 0);
    vmm_machine_stopped(host.machine, &stop);
    assert_string_equal(vmm_stop_reason_name(stop.reason), "error");
    assert_string_equal(stop.text, "I/O thread: the event loop cannot wait any "
                                   "more: Invalid argument");
    end(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_exit_that_ends_the_vm_says_why),
        cmocka_unit_test(an_access_that_no_device_wants_reads_all_ones),
        cmocka_unit_test(an_msr_that_nobody_knows_gives_a_gp_fault),
        cmocka_unit_test(a_hypercall_that_nobody_serves_is_refused),
        cmocka_unit_test(the_hook_is_asked_before_the_vm_ends),
        cmocka_unit_test(
            a_machine_may_be_freed_while_a_device_asks_for_its_end),
        cmocka_unit_test(a_stop_in_the_middle_of_the_start_reaches_all_vcpus),
        cmocka_unit_test(a_machine_ends_with_its_io_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
