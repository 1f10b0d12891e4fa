/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Start, pause, resume, stop and wait, over all vCPU threads of a machine. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>

#include "vmm_features.h"

#include "machine/internal.h"

#define NS_PER_S 1000000000

const char *vmm_stop_reason_name(enum vmm_stop_reason reason)
{
    static const char *const names[] = {
        [VMM_STOP_NONE] = "none",
        [VMM_STOP_REBOOT] = "reboot",
        [VMM_STOP_POWEROFF] = "poweroff",
        [VMM_STOP_PANIC] = "panic",
        [VMM_STOP_TRIPLE_FAULT] = "triple_fault",
        [VMM_STOP_HALT] = "halt",
        [VMM_STOP_ERROR] = "error",
        [VMM_STOP_CLOSED] = "closed",
    };

    return (size_t)reason < sizeof(names) / sizeof(*names) ? names[reason]
                                                           : "unknown";
}

static int on_exit_of(void *context, struct vmm_vcpu *vcpu,
                      struct vmm_exit *exit)
{
    struct machine_vcpu *slot = context;

    meter_add(&slot->exits[exit->type], 1);
    unsigned probes = atomic_load_explicit(&slot->probes, memory_order_acquire);
    if (VMM_FEATURE_METRICS && __builtin_expect(probes != 0, 0))
        return machine_probe_exit(slot, vcpu, exit, probes);
    return vmm_machine_dispatch(slot->machine, vcpu, exit);
}

static void on_event_of(void *context, struct vmm_vcpu *vcpu,
                        enum vmm_vcpu_event event)
{
    (void)vcpu;
    if (VMM_FEATURE_METRICS)
        machine_probe_event(context, event);
}

static void on_error_of(void *context, struct vmm_vcpu *vcpu,
                        const struct vmm_error *err)
{
    struct machine_vcpu *slot = context;

    (void)vcpu; /* the text names it */
    vmm_machine_stop(slot->machine, VMM_STOP_ERROR, "%s", err->text);
}

static void on_finished_of(void *context, struct vmm_vcpu *vcpu)
{
    struct vmm_machine *machine = ((struct machine_vcpu *)context)->machine;

    (void)vcpu;
    if (VMM_FEATURE_METRICS)
        machine_probe_finished(context);
    pthread_mutex_lock(&machine->lock);
    if (--machine->alive == 0) {
        atomic_store(&machine->ended_ns, vmm_now_ns());
        eventfd_write(machine->stopped_fd, 1);
        pthread_cond_broadcast(&machine->all_finished);
    }
    pthread_mutex_unlock(&machine->lock);
}

/* Start one thread, paused; it counts as alive until on_finished_of. */
static int start_vcpu(struct vmm_machine *machine, struct machine_vcpu *slot,
                      struct vmm_error *err)
{
    struct vmm_vcpu_thread_config config = {
        .on_exit = on_exit_of,
        .on_error = on_error_of,
        .on_finished = on_finished_of,
        .on_event = on_event_of,
        .context = slot,
    };

    pthread_mutex_lock(&machine->lock);
    machine->alive++;
    pthread_mutex_unlock(&machine->lock);

    int rc = vmm_vcpu_start(slot->vcpu, &config, err);
    if (rc)
        on_finished_of(slot, slot->vcpu);
    return rc;
}

static void request_stop_of_all(struct vmm_machine *machine)
{
    for (size_t i = 0; i < machine->vcpu_count; i++)
        vmm_vcpu_request_stop(machine->vcpus[i]->vcpu);
}

/* All threads are there: was the VM stopped meanwhile?  A vCPU without a thread
 * did not get to know. */
static bool stop_if_stopped(struct vmm_machine *machine)
{
    struct vmm_stop stop;

    vmm_machine_stopped(machine, &stop);
    if (stop.reason == VMM_STOP_NONE)
        return false;
    request_stop_of_all(machine);
    return true;
}

/* Without its I/O the guest would run on, deaf and mute. */
static void on_loop_error(void *context, const struct vmm_error *err)
{
    vmm_machine_stop(context, VMM_STOP_ERROR, "I/O thread: %s", err->text);
}

static int start(struct vmm_machine *machine, bool paused,
                 struct vmm_error *err)
{
    struct vmm_stop stop;

    vmm_error_clear(err);
    if (machine->started)
        return vmm_error_set(err, EBUSY, "the VM has been started already");
    if (!machine->vcpu_count)
        return vmm_error_set(err, EINVAL, "the VM has no vCPU to start");
    vmm_machine_stopped(machine, &stop);
    if (stop.reason != VMM_STOP_NONE)
        return vmm_error_set(err, ECANCELED, "the VM was stopped (%s)",
                             vmm_stop_reason_name(stop.reason));

    int rc = 0;
    if (VMM_FEATURE_METRICS)
        rc = machine_probes_start(machine, err);
    if (VMM_FEATURE_DEBUG && !rc)
        rc = machine_debug_start(machine, err);
    if (rc)
        return rc;
    vmm_loop_on_error(machine->loop, on_loop_error, machine);
    rc = vmm_loop_start_thread(machine->loop, "vmm-io", err);
    if (rc)
        return rc;
    machine->started = true;
    atomic_store(&machine->started_ns, vmm_now_ns());
    for (size_t i = 0; i < machine->vcpu_count && !rc; i++)
        rc = start_vcpu(machine, machine->vcpus[i], err);
    if (rc) {
        vmm_machine_stop(machine, VMM_STOP_ERROR, "%s",
                         err ? err->text : "a vCPU thread did not start");
        return rc;
    }
    if (!stop_if_stopped(machine) && !paused)
        vmm_machine_resume(machine);
    return 0;
}

int vmm_machine_start(struct vmm_machine *machine, struct vmm_error *err)
{
    return start(machine, false, err);
}

int vmm_machine_start_paused(struct vmm_machine *machine, struct vmm_error *err)
{
    return start(machine, true, err);
}

static int64_t remaining_ns(uint64_t since_ns, int64_t timeout_ns)
{
    if (timeout_ns < 0)
        return -1;
    int64_t left = timeout_ns - (int64_t)(vmm_now_ns() - since_ns);
    return left > 0 ? left : 0;
}

int vmm_machine_pause(struct vmm_machine *machine, int64_t timeout_ns)
{
    uint64_t since = vmm_now_ns();

    if (VMM_FEATURE_DEBUG)
        machine_debug_pause(machine);
    for (size_t i = 0; i < machine->vcpu_count; i++)
        vmm_vcpu_request_pause(machine->vcpus[i]->vcpu);
    if (machine_self(machine))
        return 0; /* asked; served after the handler has returned */
    for (size_t i = 0; i < machine->vcpu_count; i++) {
        int rc = vmm_vcpu_wait_paused(machine->vcpus[i]->vcpu,
                                      remaining_ns(since, timeout_ns));
        if (rc)
            return rc;
    }
    return 0;
}

int vmm_machine_resume(struct vmm_machine *machine)
{
    if (VMM_FEATURE_DEBUG && machine_debug_resume(machine))
        return 0;
    for (size_t i = 0; i < machine->vcpu_count; i++)
        vmm_vcpu_request_resume(machine->vcpus[i]->vcpu);
    return 0;
}

void vmm_machine_stop(struct vmm_machine *machine, enum vmm_stop_reason reason,
                      const char *format, ...)
{
    va_list args;

    pthread_mutex_lock(&machine->lock);
    if (machine->stop.reason == VMM_STOP_NONE) {
        machine->stop.reason = reason;
        va_start(args, format);
        vsnprintf(machine->stop.text, sizeof(machine->stop.text), format, args);
        va_end(args);
    }
    pthread_mutex_unlock(&machine->lock);
    request_stop_of_all(machine);
}

static struct timespec deadline_after(int64_t timeout_ns)
{
    uint64_t at = vmm_now_ns() + (uint64_t)timeout_ns;

    return (struct timespec){.tv_sec = (time_t)(at / NS_PER_S),
                             .tv_nsec = (long)(at % NS_PER_S)};
}

int vmm_machine_wait(struct vmm_machine *machine, int64_t timeout_ns)
{
    struct timespec deadline = deadline_after(timeout_ns < 0 ? 0 : timeout_ns);
    int rc = 0;

    pthread_mutex_lock(&machine->lock);
    while (machine->alive && rc != ETIMEDOUT)
        rc = timeout_ns < 0
                 ? pthread_cond_wait(&machine->all_finished, &machine->lock)
                 : pthread_cond_timedwait(&machine->all_finished,
                                          &machine->lock, &deadline);
    rc = machine->alive ? -ETIMEDOUT : 0;
    pthread_mutex_unlock(&machine->lock);
    return rc;
}

void vmm_machine_stopped(struct vmm_machine *machine, struct vmm_stop *stop)
{
    pthread_mutex_lock(&machine->lock);
    *stop = machine->stop;
    pthread_mutex_unlock(&machine->lock);
}

int vmm_machine_stopped_fd(const struct vmm_machine *machine)
{
    return machine->stopped_fd;
}

static void power_request(void *context, enum vmm_power_request request)
{
    enum vmm_stop_reason reason =
        request == VMM_POWER_RESET ? VMM_STOP_REBOOT : VMM_STOP_POWEROFF;

    vmm_machine_stop(context, reason, "%s", "");
}

void vmm_machine_power_line(struct vmm_machine *machine,
                            struct vmm_power_line *line)
{
    line->request = power_request;
    line->context = machine;
}
