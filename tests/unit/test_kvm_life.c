/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Many lives of a tiny VM, and how soon a running one obeys; needs KVM. */
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tiny_guest.h"

static const struct vmm_irqchip_config irqchip = {.pit = false};

/* ---- nothing stays behind
 * -----------------------------------------------------
 */

/* What a process holds, as the kernel and malloc count it. */
struct holdings {
    unsigned fds, threads;
    unsigned kvm_runs; /* mappings of a vCPU */
    unsigned mappings; /* all of them */
    size_t heap_bytes; /* 0 under a sanitizer */
};

static unsigned entries_of(const char *path)
{
    DIR *dir = opendir(path);
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static struct holdings holdings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    struct holdings h = {.heap_bytes = mallinfo2().uordblks};
    char line[4096];

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps)) {
        h.mappings++;
        h.kvm_runs += strstr(line, "kvm-vcpu") != NULL;
    }
    fclose(maps);
    h.fds = entries_of("/proc/self/fd");
    h.threads = entries_of("/proc/self/task");
    return h;
}

/* Nothing of ours is left; what malloc and the C library keep for themselves
 * varies a little, and far less than lives do. */
static void assert_nothing_left(const struct holdings *before, unsigned lives)
{
    struct holdings after = holdings();

    assert_int_equal(after.fds, before->fds);
    assert_int_equal(after.threads, before->threads);
    assert_int_equal(after.kvm_runs, before->kvm_runs);
    assert_in_range(after.mappings, 0, before->mappings + lives / 10);
    assert_in_range(after.heap_bytes, 0, before->heap_bytes + lives * 10);
}

/* mov al, 'r'; out 0x70, al; 1: hlt; jmp 1b */
static const uint8_t halting_code[] = {0xb0, 'r', 0xe6, 0x70, 0xf4, 0xeb, 0xfd};

struct life {
    struct tiny_guest guest;
    struct tiny_log log;
    int event_fd;
};

static void begin(void **state, struct life *life)
{
    struct vmm_irq_line line;

    *life = (struct life){.log = TINY_LOG};
    life->guest = tiny_new(state, halting_code, sizeof(halting_code), &irqchip);
    life->event_fd = eventfd(0, EFD_CLOEXEC);
    assert_ok(vmm_vm_irq_line(life->guest.vm, 4, &line, &err));
    assert_ok(vmm_vm_irqfd(life->guest.vm, life->event_fd, -1, 5, true, &err));
    tiny_start(&life->guest, &life->log);
    tiny_wait_writes(&life->log, 1);
}

/* It may be running, paused or told to stop when it is freed. */
static void end(struct life *life, unsigned round)
{
    if (round % 3 == 1) {
        vmm_vcpu_request_pause(life->guest.vcpu);
        tiny_wait_stopped(&life->guest);
    } else if (round % 3 == 2) {
        vmm_vcpu_request_stop(life->guest.vcpu);
    }
    tiny_free(&life->guest);
    close(life->event_fd);
}

/* Sixteen at a time.  A kernel that frees its device lists by SRCU (6.18)
 * lets the close of a VM of less than some 15 ms wait for them; so old, these
 * have them behind them. */
static void live(void **state, unsigned lives)
{
    struct life ring[16];

    for (unsigned i = 0; i < lives + 16; i++) {
        if (i >= 16)
            end(&ring[i % 16], i);
        if (i < lives)
            begin(state, &ring[i % 16]);
    }
}

static void a_thousand_lives_leave_nothing_behind(void **state)
{
    tiny_kvm(state);
    /* The first ones leave what is kept for ever: thread stacks in glibc's
     * cache, malloc's arenas. */
    live(state, 32);
    struct holdings before = holdings();
    live(state, 1000);
    assert_nothing_left(&before, 1000);
}

static void failed_openings_and_creations_leave_nothing_behind(void **state)
{
    struct vmm_kvm *kvm = tiny_kvm(state), *other;
    struct vmm_vm *vm;
    struct vmm_vcpu *vcpu, *twin;

    assert_ok(vmm_vm_new(kvm, &vm, &err));
    assert_ok(vmm_vcpu_new(vm, 0, &vcpu, &err));
    struct holdings before = holdings();
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(vmm_kvm_open("/dev/null", &other, NULL), -ENOTTY);
        assert_int_equal(vmm_vcpu_new(vm, 0, &twin, NULL), -EEXIST);
    }
    assert_nothing_left(&before, 200);
    vmm_vcpu_free(vcpu);
    vmm_vm_free(vm);
}

/* ---- how soon
 * ------------------------------------------------------------------
 */

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* sti; 1: hlt; jmp 1b */
static const uint8_t waking_code[] = {0xfb, 0xf4, 0xeb, 0xfd};
/* mov al, 0x20; out 0x20, al (end of interrupt); out 0x70, al; iret */
static const uint8_t isr[] = {0xb0, 0x20, 0xe6, 0x20, 0xe6, 0x70, 0xcf};
/* 1: out 0x70, al; mov cx, 0x2000; 2: loop 2b; jmp 1b */
static const uint8_t looping_code[] = {0xe6, 0x70, 0xb9, 0x00, 0x20,
                                       0xe2, 0xfe, 0xeb, 0xf7};

/* Each round: let the guest write once more, then pause it in what it does
 * after: halt or loop.  Returns the median time a pause takes. */
static uint64_t median_pause_us(void **state, const void *code, size_t bytes)
{
    struct tiny_log log = TINY_LOG;
    struct tiny_guest g = tiny_new(state, code, bytes, &irqchip);
    uint64_t took[50];

    vmm_memory_write(g.memory, 0x1100, isr, sizeof(isr));
    vmm_memory_store_u32(g.memory, 4 * 4, 0x1100); /* line 4, PIC base 0 */
    tiny_start(&g, &log);
    for (unsigned i = 0; i < 50; i++) {
        unsigned place = i, writes = tiny_writes(&log);

        vmm_vm_set_irq(g.vm, 4, true);
        vmm_vm_set_irq(g.vm, 4, false);
        tiny_wait_writes(&log, writes + 1);
        uint64_t start = now_us();
        vmm_vcpu_request_pause(g.vcpu);
        tiny_wait_stopped(&g);
        uint64_t time = now_us() - start;
        vmm_vcpu_request_resume(g.vcpu);
        for (; place > 0 && took[place - 1] > time; place--)
            took[place] = took[place - 1];
        took[place] = time;
    }
    tiny_free(&g);
    return took[25];
}

static void a_pause_is_served_soon(void **state)
{
    uint64_t halted, looping;

    tiny_kvm(state);
    halted = median_pause_us(state, waking_code, sizeof(waking_code));
    looping = median_pause_us(state, looping_code, sizeof(looping_code));
    print_message("median pause: %u us halted, %u us looping\n",
                  (unsigned)halted, (unsigned)looping);
    /* A lost kick would never be served; a busy host may take its time. */
    assert_in_range(halted, 0, 100000);
    assert_in_range(looping, 0, 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_lives_leave_nothing_behind),
        cmocka_unit_test(failed_openings_and_creations_leave_nothing_behind),
        cmocka_unit_test(a_pause_is_served_soon),
    };

    return cmocka_run_group_tests(tests, tiny_open_kvm, tiny_close_kvm);
}
