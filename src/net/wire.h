/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A backend around another one: what lies between a device and its network,
 * where faults are. */
#ifndef NET_WIRE_H
#define NET_WIRE_H

#include <vmm/net.h>

#include "net/fault.h"

struct wire_config {
    struct vmm_net *inner; /* taken over, also on failure */
    /* Of what goes to the inner one, of what comes from it; may be NULL. */
    struct fault_slot *tx, *rx;
    uint64_t stream; /* which of all the wires at a slot it is */
};

/* NULL: out of memory. */
struct vmm_net *wire_new(const struct wire_config *config);

#endif
