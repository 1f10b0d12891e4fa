/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* How much a device may do in a second. */
#ifndef VMM_LIMIT_H
#define VMM_LIMIT_H

#include <stdint.h>

/*
 * Of bytes and of what they come in (requests, frames), each on its own.  After
 * a while without work as much may be done at once as is else done in
 * burst_ns.  One piece of work is never divided: a large one is done as soon as
 * anything may be, and what follows waits the longer.
 */
struct vmm_limit {
    uint64_t bytes; /* a second; 0: no limit */
    uint64_t items; /* a second; 0: no limit */
    uint64_t burst_ns;
};

#endif
