/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Message-signalled interrupts as a device sees them. */
#ifndef VMM_MSI_H
#define VMM_MSI_H

#include <stdint.h>

/*
 * The vectors of one device, numbered from 0.  Both functions may be called
 * from any thread, with the device's lock held; they must not call back into
 * it, and one vector is used by one thread at a time.
 */
struct vmm_msi_lines {
    /* A raise of the vector sends this message from now on.  0 or -errno:
     * the message is none that could be sent, and the former one stays. */
    int (*route)(void *context, unsigned vector, uint64_t address,
                 uint32_t data);
    /* Send the vector's message.  Only after a route. */
    void (*raise)(void *context, unsigned vector);
    void *context;
    unsigned count; /* of vectors */
};

#endif
