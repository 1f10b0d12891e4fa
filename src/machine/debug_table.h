/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The bytes of guest memory that software breakpoints cover. */
#ifndef VMM_MACHINE_DEBUG_TABLE_H
#define VMM_MACHINE_DEBUG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/memory.h>

#define DEBUG_INT3 0xcc
/* IN AL, imm8: where KVM is not told of INT3s this exits, in ring 0, as a read
 * of the port that the next byte names. */
#define DEBUG_IN_IMM8 0xe4

struct debug_site {
    vmm_gpa_t gpa;
    uint8_t original;
    bool lifted;    /* the original is in memory for a moment */
    unsigned users; /* breakpoints here */
};

/* Not locked: whoever owns it does that.  Zeroed, but for trap, it is empty. */
struct debug_table {
    uint8_t trap; /* DEBUG_INT3 or DEBUG_IN_IMM8; not changed while in use */
    struct debug_site *sites;
    size_t count, room;
};

/* One more breakpoint at gpa: the first one puts the trap there.  -EFAULT when
 * that is no RAM, -ENOMEM. */
int debug_table_add(struct debug_table *table, struct vmm_memory *memory,
                    vmm_gpa_t gpa);
/* One less: the last one puts the original byte back, unless the guest has
 * written another one there. */
void debug_table_remove(struct debug_table *table, struct vmm_memory *memory,
                        vmm_gpa_t gpa);
bool debug_table_has(const struct debug_table *table, vmm_gpa_t gpa);
bool debug_table_is_lifted(const struct debug_table *table, vmm_gpa_t gpa);

/* Let the original byte be executed, and cover it again.  Where the guest has
 * overwritten the trap nothing is done; what it has written meanwhile is the
 * original from then on. */
void debug_table_lift(struct debug_table *table, struct vmm_memory *memory,
                      vmm_gpa_t gpa);
void debug_table_cover(struct debug_table *table, struct vmm_memory *memory,
                       vmm_gpa_t gpa);
void debug_table_lift_all(struct debug_table *table, struct vmm_memory *memory);
void debug_table_cover_all(struct debug_table *table,
                           struct vmm_memory *memory);

/* In bytes, read at gpa, put originals for traps of ours. */
void debug_table_hide(const struct debug_table *table, vmm_gpa_t gpa,
                      uint8_t *bytes, size_t len);
/* Forget all; memory is left as it is. */
void debug_table_fini(struct debug_table *table);

#endif
