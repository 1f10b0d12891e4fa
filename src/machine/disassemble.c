/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* One instruction in words, by capstone when the host has it. */
#include <capstone/capstone.h>
#include <dlfcn.h>
#include <stdio.h>

#include "machine/internal.h"

/* Capstone is opened on first use: it is large, and only failures need it. */
struct capstone {
    void *library;
    cs_err (*open)(cs_arch, cs_mode, csh *);
    size_t (*disasm)(csh, const uint8_t *, size_t, uint64_t, size_t,
                     cs_insn **);
    void (*free)(cs_insn *, size_t);
    cs_err (*close)(csh *);
};

/* dlsym returns an object pointer; POSIX says it may be a function. */
static void *symbol(const struct capstone *capstone, const char *name)
{
    return dlsym(capstone->library, name);
}

static bool load(struct capstone *capstone)
{
    capstone->library = dlopen("libcapstone.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!capstone->library)
        return false;
    *(void **)&capstone->open = symbol(capstone, "cs_open");
    *(void **)&capstone->disasm = symbol(capstone, "cs_disasm");
    *(void **)&capstone->free = symbol(capstone, "cs_free");
    *(void **)&capstone->close = symbol(capstone, "cs_close");
    return capstone->open && capstone->disasm && capstone->free &&
           capstone->close;
}

void machine_disassemble(const uint8_t *bytes, size_t count, uint64_t rip,
                         int bits, char *text, size_t text_bytes)
{
    struct capstone capstone = {0};
    cs_mode mode = bits == 64   ? CS_MODE_64
                   : bits == 32 ? CS_MODE_32
                                : CS_MODE_16;
    csh handle;
    cs_insn *instruction;

    text[0] = '\0';
    if (load(&capstone) &&
        capstone.open(CS_ARCH_X86, mode, &handle) == CS_ERR_OK) {
        size_t n = capstone.disasm(handle, bytes, count, rip, 1, &instruction);
        if (n) {
            snprintf(text, text_bytes, "%s%s%s", instruction->mnemonic,
                     instruction->op_str[0] ? " " : "", instruction->op_str);
            capstone.free(instruction, n);
        }
        capstone.close(&handle);
    }
    if (capstone.library)
        dlclose(capstone.library);
}
