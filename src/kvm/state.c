/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What state of a VM and state of a vCPU have in common: sizes checked. */
#include <errno.h>

#include "kvm/internal.h"

int vmm_state_room(const char *name, size_t *size, size_t needed,
                   struct vmm_error *err)
{
    size_t room = *size;

    *size = needed;
    if (room < needed)
        return vmm_error_set(err, ENOBUFS,
                             "state \"%s\" takes %zu bytes, room for %zu", name,
                             needed, room);
    return 0;
}

int vmm_state_size(const char *name, size_t size, size_t expected,
                   struct vmm_error *err)
{
    if (size == expected)
        return 0;
    return vmm_error_set(err, EINVAL, "state \"%s\" is %zu bytes, given %zu",
                         name, expected, size);
}
