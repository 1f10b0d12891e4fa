/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Instructions in words, by capstone when the host has it. */
#ifndef VMM_DISASSEMBLE_H
#define VMM_DISASSEMBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/export.h>

#define VMM_INSTRUCTION_BYTES_MAX 15

struct vmm_instruction {
    uint64_t address;
    uint8_t size; /* bytes */
    char text[192];
    /* The one address that it names: where a direct branch goes, what an
     * operand relative to RIP is. */
    bool has_target;
    bool is_branch;
    uint64_t target;
};

struct vmm_disassembly {
    int bits; /* 16, 32 or 64 */
    bool att; /* AT&T's syntax, else Intel's */
};

/*
 * Disassemble up to max instructions of these bytes, which lie at address.
 * Returns how many; it ends before an instruction that the bytes cut off or
 * that there is not.  -ENOSYS without capstone, which is opened on first use.
 */
VMM_API int vmm_disassemble(const struct vmm_disassembly *how,
                            const uint8_t *bytes, size_t size, uint64_t address,
                            struct vmm_instruction *instructions, size_t max,
                            struct vmm_error *err);

#endif
