/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What the files of this room share: libbpf, and types on top of it. */
#ifndef VMM_SYMBOLS_BTF_H
#define VMM_SYMBOLS_BTF_H

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <vmm/types.h>

struct vmm_types {
    void *library;
    struct btf *btf;
    struct btf *(*parse)(const void *, __u32);
    void (*free)(struct btf *);
    __s32 (*find)(const struct btf *, const char *, __u32);
    const struct btf_type *(*by_id)(const struct btf *, __u32);
    const char *(*text)(const struct btf *, __u32);
    libbpf_print_fn_t (*set_print)(libbpf_print_fn_t);
};

/* The name at an offset of the strings, "" where there is none. */
const char *types_text(const struct vmm_types *types, uint32_t offset);

#endif
