/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* For a callback that has to last until another thread waits for it. */
#ifndef ASLEEP_H
#define ASLEEP_H

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include <vmm/loop.h>

static inline bool is_asleep(pid_t thread)
{
    char path[64], state = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
    file = fopen(path, "r");
    if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 0;
    if (file)
        fclose(file);
    return state == 'S';
}

static inline void await_asleep(pid_t thread, int64_t patience_ns)
{
    uint64_t deadline = vmm_now_ns() + (uint64_t)patience_ns;

    while (!is_asleep(thread) && vmm_now_ns() < deadline)
        sched_yield();
}

#endif
