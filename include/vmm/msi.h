/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Message-signalled interrupts as a device sees them. */
#ifndef VMM_MSI_H
#define VMM_MSI_H

#include <stdbool.h>
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

    /*
     * For others to raise a vector: an eventfd, valid as long as the lines are;
     * a write of 1 is a raise.  NULL, and so are the next two: there are none.
     */
    int (*fd)(void *context, unsigned vector);
    /* Keep what they raise from now on, / send it, as one, if there is any. */
    void (*hold)(void *context, unsigned vector, bool on);
    /* While it is held: has it been raised?  take: forget that. */
    bool (*kept)(void *context, unsigned vector, bool take);
};

#endif
