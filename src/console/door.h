/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A way into a console by which clients come and go. */
#ifndef CONSOLE_DOOR_H
#define CONSOLE_DOOR_H

struct vmm_console;

/* Embedded in each kind of door.  A door attaches a stream for each client;
 * its callbacks run on the loop's thread alone. */
struct vmm_door {
    struct vmm_door *next;
    /* Once no callback of a stream runs any more: remove watches, free. */
    void (*close)(struct vmm_door *door);
};

void vmm_console_add_door(struct vmm_console *console, struct vmm_door *door);

#endif
