/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A VM of one vCPU that starts in real mode at 0x1000, for tests of KVM. */
#ifndef TINY_GUEST_H
#define TINY_GUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include <vmm/kvm.h>
#include <vmm/vcpu.h>

#define TINY_CODE_GPA     0x1000
#define TINY_MEMORY_BYTES 0x10000

/* Fail with the library's own text. */
#define assert_ok(expression)                                                  \
    do {                                                                       \
        struct vmm_error err = {0};                                            \
        int result_ = (expression);                                            \
        if (result_ != 0)                                                      \
            fail_msg("%s: %d: %s", #expression, result_, err.text);            \
    } while (0)

/* Demand a refusal by its code and its exact text. */
#define assert_refused(expression, errno_value, expected)                      \
    do {                                                                       \
        struct vmm_error err = {0};                                            \
        int result_ = (expression);                                            \
        assert_string_equal(err.text, expected);                               \
        assert_int_equal(result_, -(errno_value));                             \
        assert_int_equal(err.code, errno_value);                               \
    } while (0)

/* ---- one KVM for a group of tests --------------------------------------- */

static inline int tiny_open_kvm(void **state)
{
    struct vmm_error err;
    struct vmm_kvm *kvm = NULL;

    if (vmm_kvm_open(NULL, &kvm, &err) < 0)
        print_message("NO KVM HERE, its tests are skipped: %s\n", err.text);
    *state = kvm;
    return 0;
}

static inline int tiny_close_kvm(void **state)
{
    vmm_kvm_close(*state);
    return 0;
}

/* Skip the test when there is no KVM. */
static inline struct vmm_kvm *tiny_kvm(void **state)
{
    if (!*state)
        skip();
    return *state;
}

/* ---- the guest ---------------------------------------------------------- */

struct tiny_guest {
    struct vmm_vm *vm;
    struct vmm_memory *memory;
    struct vmm_vcpu *vcpu;
};

static inline struct vmm_memory *tiny_memory(vmm_gpa_t base, uint64_t bytes)
{
    struct vmm_memory *memory = NULL;
    struct vmm_memory_range range = {.base = base, .size_bytes = bytes};
    struct vmm_memory_config config = {.ranges = &range, .range_count = 1};

    assert_ok(vmm_memory_new(&config, &memory, &err));
    return memory;
}

/* Let vcpu start at TINY_CODE_GPA in real mode with all segments from 0. */
static inline void tiny_real_mode(struct vmm_vcpu *vcpu)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rip = TINY_CODE_GPA, .rsp = 0x8000, .rflags = 2};

    assert_ok(vmm_vcpu_get_sregs(vcpu, &sregs, &err));
    sregs.cs.base = sregs.ds.base = sregs.es.base = sregs.ss.base = 0;
    sregs.cs.selector = sregs.ds.selector = 0;
    sregs.es.selector = sregs.ss.selector = 0;
    assert_ok(vmm_vcpu_set_sregs(vcpu, &sregs, &err));
    assert_ok(vmm_vcpu_set_regs(vcpu, &regs, &err));
}

/* Make a guest from machine code, on the group's KVM. */
static inline struct tiny_guest
tiny_new(void **state, const void *code, size_t code_bytes,
         const struct vmm_irqchip_config *irqchip)
{
    struct tiny_guest g;

    tiny_kvm(state);
    g.memory = tiny_memory(0, TINY_MEMORY_BYTES);
    assert_int_equal(
        vmm_memory_write(g.memory, TINY_CODE_GPA, code, code_bytes), 0);
    assert_ok(vmm_vm_new(*state, &g.vm, &err));
    assert_ok(vmm_vm_map(g.vm, g.memory, &err));
    if (irqchip)
        assert_ok(vmm_vm_create_irqchip(g.vm, irqchip, &err));
    assert_ok(vmm_vcpu_new(g.vm, 0, &g.vcpu, &err));
    tiny_real_mode(g.vcpu);
    return g;
}

static inline void tiny_free(struct tiny_guest *g)
{
    vmm_vcpu_free(g->vcpu);
    vmm_vm_free(g->vm);
    vmm_memory_unref(g->memory);
}

/* Run once and demand an exit of that type. */
static inline struct vmm_exit tiny_run(struct tiny_guest *g,
                                       enum vmm_exit_type type)
{
    struct vmm_exit exit;

    assert_ok(vmm_vcpu_run_once(g->vcpu, &exit, &err));
    assert_string_equal(vmm_exit_name(exit.type), vmm_exit_name(type));
    return exit;
}

/* ---- the guest on a thread ---------------------------------------------- */

/* Counts port writes and keeps the last byte; other exits end the thread. */
struct tiny_log {
    pthread_mutex_t lock;
    pthread_cond_t grown;
    unsigned writes;
    uint8_t byte;
};

#define TINY_LOG                                                               \
    {                                                                          \
        .lock = PTHREAD_MUTEX_INITIALIZER, .grown = PTHREAD_COND_INITIALIZER   \
    }

static inline int tiny_log_exit(void *context, struct vmm_vcpu *vcpu,
                                struct vmm_exit *exit)
{
    struct tiny_log *log = context;

    (void)vcpu;
    pthread_mutex_lock(&log->lock);
    if (exit->type == VMM_EXIT_PIO_WRITE) {
        log->writes++;
        log->byte = exit->u.io.data[0];
    }
    pthread_cond_broadcast(&log->grown);
    pthread_mutex_unlock(&log->lock);
    return exit->type != VMM_EXIT_PIO_WRITE;
}

static inline void tiny_log_error(void *context, struct vmm_vcpu *vcpu,
                                  const struct vmm_error *err)
{
    (void)context;
    (void)vcpu;
    print_message("KVM_RUN failed: %s\n", err->text);
}

static inline void tiny_start(struct tiny_guest *g, struct tiny_log *log)
{
    struct vmm_vcpu_thread_config config = {
        .on_exit = tiny_log_exit,
        .on_error = tiny_log_error,
        .context = log,
    };

    assert_ok(vmm_vcpu_start(g->vcpu, &config, &err));
    vmm_vcpu_request_resume(g->vcpu);
}

/* Port writes so far. */
static inline unsigned tiny_writes(struct tiny_log *log)
{
    pthread_mutex_lock(&log->lock);
    unsigned writes = log->writes;
    pthread_mutex_unlock(&log->lock);
    return writes;
}

/* Wait until the guest has written to a port that many times; returns the
 * last byte written. */
static inline uint8_t tiny_wait_writes(struct tiny_log *log, unsigned writes)
{
    struct timespec deadline;
    int r = 0;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 20;
    pthread_mutex_lock(&log->lock);
    while (r == 0 && log->writes < writes)
        r = pthread_cond_timedwait(&log->grown, &log->lock, &deadline);
    unsigned seen = log->writes;
    uint8_t byte = log->byte;
    pthread_mutex_unlock(&log->lock);
    if (r)
        fail_msg("%u port writes, want %u", seen, writes);
    return byte;
}

/* Wait for the vCPU to pause or finish. */
static inline void tiny_wait_stopped(struct tiny_guest *g)
{
    assert_int_equal(vmm_vcpu_wait_stopped(g->vcpu, 20000000000ll), 0);
}

#endif
