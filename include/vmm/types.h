/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The types of a kernel, from its BTF: sizes, and where the fields of a
 * structure are. */
#ifndef VMM_TYPES_H
#define VMM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/export.h>

struct vmm_types;

/* Linux's BTF has a few MiB. */
#define VMM_TYPES_BYTES_MAX (UINT64_C(64) << 20)

/*
 * Parse BTF (Documentation/bpf/btf.rst) by libbpf, which is opened on first
 * use: -ENOSYS where it is not installed.  bytes may be a guest's and are
 * copied; -ENOEXEC when they are no BTF, or a name is no printable ASCII.
 */
VMM_API int vmm_types_new(const void *bytes, size_t size,
                          struct vmm_types **types, struct vmm_error *err);
/* types may be NULL. */
VMM_API void vmm_types_free(struct vmm_types *types);

enum vmm_type_kind {
    VMM_TYPE_OTHER, /* a function, a declaration, void */
    VMM_TYPE_INT,   /* also bool, char */
    VMM_TYPE_ENUM,
    VMM_TYPE_FLOAT,
    VMM_TYPE_POINTER,
    VMM_TYPE_ARRAY,
    VMM_TYPE_STRUCT,
    VMM_TYPE_UNION,
    VMM_TYPE_KINDS
};
/* "int", "enum", ... */
VMM_API const char *vmm_type_kind_name(enum vmm_type_kind kind);

/* A type, typedefs and qualifiers taken off. */
struct vmm_type {
    uint32_t id;
    enum vmm_type_kind kind;
    uint64_t size;    /* bytes; 0 when it has none */
    bool is_signed;   /* integers, enumerations */
    bool is_char;     /* an integer of one byte that is no bool */
    uint32_t target;  /* id of what a pointer points to, of an element */
    uint32_t count;   /* elements of an array */
    const char *name; /* "" when it has none; valid as long as types is */
};

/* Where a field is in its structure. */
struct vmm_type_field {
    uint64_t bit_offset;
    uint32_t bits; /* of a bit-field, else 0 */
    struct vmm_type type;
};

/* The type of a name: a struct, union, typedef, enum or int, in this order.
 * -ENOENT. */
VMM_API int vmm_types_find(const struct vmm_types *types, const char *name,
                           struct vmm_type *type);
/* The type of an id; -ENOENT when there is none, -ELOOP for typedefs without
 * end. */
VMM_API int vmm_types_get(const struct vmm_types *types, uint32_t id,
                          struct vmm_type *type);
/*
 * A field by its path: "comm", "se.vruntime", "cpus[3].mask"; members of
 * anonymous structures count as the structure's own.  -ENOENT, and the text
 * says which part there is not.
 */
VMM_API int vmm_types_field(const struct vmm_types *types,
                            const struct vmm_type *in, const char *path,
                            struct vmm_type_field *field,
                            struct vmm_error *err);
/* The index-th member of a structure or union; *name is "" for an anonymous
 * one.  -ENOENT beyond the last. */
VMM_API int vmm_types_member(const struct vmm_types *types,
                             const struct vmm_type *in, uint32_t index,
                             const char **name, struct vmm_type_field *field);

#endif
