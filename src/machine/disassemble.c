/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Instructions in words, by capstone when the host has it. */
#include <capstone/capstone.h>
#include <errno.h>
#include <stdio.h>

#include <vmm/disassemble.h>

#include "base/library.h"
#include "machine/internal.h"

struct capstone {
    void *library;
    csh handle;
    bool is_open;
    cs_err (*open)(cs_arch, cs_mode, csh *);
    cs_err (*option)(csh, cs_opt_type, size_t);
    size_t (*disasm)(csh, const uint8_t *, size_t, uint64_t, size_t,
                     cs_insn **);
    void (*free)(cs_insn *, size_t);
    cs_err (*close)(csh *);
};

static bool load(struct capstone *capstone)
{
    const struct library_function functions[] = {
        LIBRARY_FUNCTION("cs_open", &capstone->open),
        LIBRARY_FUNCTION("cs_option", &capstone->option),
        LIBRARY_FUNCTION("cs_disasm", &capstone->disasm),
        LIBRARY_FUNCTION("cs_free", &capstone->free),
        LIBRARY_FUNCTION("cs_close", &capstone->close),
    };

    return library_open(&capstone->library, "libcapstone.so.4", 0, functions,
                        sizeof(functions) / sizeof(*functions), NULL) == 0;
}

static bool start(struct capstone *capstone, const struct vmm_disassembly *how)
{
    cs_mode mode = how->bits == 64   ? CS_MODE_64
                   : how->bits == 32 ? CS_MODE_32
                                     : CS_MODE_16;

    if (!load(capstone) ||
        capstone->open(CS_ARCH_X86, mode, &capstone->handle) != CS_ERR_OK)
        return false;
    capstone->is_open = true;
    capstone->option(capstone->handle, CS_OPT_DETAIL, CS_OPT_ON);
    if (how->att)
        capstone->option(capstone->handle, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
    return true;
}

static void stop(struct capstone *capstone)
{
    if (capstone->is_open)
        capstone->close(&capstone->handle);
    library_close(&capstone->library);
}

static bool is_branch(const cs_insn *from)
{
    for (uint8_t i = 0; i < from->detail->groups_count; i++)
        if (from->detail->groups[i] == CS_GRP_JUMP ||
            from->detail->groups[i] == CS_GRP_CALL)
            return true;
    return false;
}

static void find_target(struct vmm_instruction *to, const cs_insn *from)
{
    const cs_x86 *x86 = &from->detail->x86;

    to->is_branch = is_branch(from);
    for (uint8_t i = 0; i < x86->op_count && !to->has_target; i++) {
        const cs_x86_op *operand = &x86->operands[i];
        if (operand->type == X86_OP_IMM && to->is_branch) {
            to->target = (uint64_t)operand->imm;
            to->has_target = true;
        } else if (operand->type == X86_OP_MEM &&
                   operand->mem.base == X86_REG_RIP) {
            to->target =
                from->address + from->size + (uint64_t)operand->mem.disp;
            to->has_target = true;
        }
    }
}

static void describe(struct vmm_instruction *to, const cs_insn *from)
{
    *to = (struct vmm_instruction){.address = from->address,
                                   .size = (uint8_t)from->size};
    snprintf(to->text, sizeof(to->text), "%s%s%s", from->mnemonic,
             from->op_str[0] ? " " : "", from->op_str);
    if (from->detail)
        find_target(to, from);
}

int vmm_disassemble(const struct vmm_disassembly *how, const uint8_t *bytes,
                    size_t size, uint64_t address,
                    struct vmm_instruction *instructions, size_t max,
                    struct vmm_error *err)
{
    struct capstone capstone = {0};
    cs_insn *found = NULL;
    size_t count = 0;

    vmm_error_clear(err);
    if (!start(&capstone, how)) {
        stop(&capstone);
        return vmm_error_set(err, ENOSYS,
                             "disassembly needs capstone (Debian: "
                             "libcapstone4), which is not installed");
    }
    if (max) /* 0 would mean: all */
        count =
            capstone.disasm(capstone.handle, bytes, size, address, max, &found);
    for (size_t i = 0; i < count; i++)
        describe(&instructions[i], &found[i]);
    if (count)
        capstone.free(found, count);
    stop(&capstone);
    return (int)count;
}

void machine_disassemble(const uint8_t *bytes, size_t count, uint64_t rip,
                         int bits, char *text, size_t text_bytes)
{
    const struct vmm_disassembly how = {.bits = bits};
    struct vmm_instruction instruction;

    text[0] = '\0';
    if (vmm_disassemble(&how, bytes, count, rip, &instruction, 1, NULL) == 1)
        snprintf(text, text_bytes, "%s", instruction.text);
}
