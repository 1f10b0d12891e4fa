/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* BTF handed to libbpf, and its types with typedefs and qualifiers taken off.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/library.h"
#include "symbols/btf.h"

/* Typedefs of typedefs, arrays of arrays: more are a loop. */
#define DEPTH_MAX 32

static int load(struct vmm_types *types, struct vmm_error *err)
{
    const struct library_function functions[] = {
        LIBRARY_FUNCTION("btf__new", &types->parse),
        LIBRARY_FUNCTION("btf__free", &types->free),
        LIBRARY_FUNCTION("btf__find_by_name_kind", &types->find),
        LIBRARY_FUNCTION("btf__type_by_id", &types->by_id),
        LIBRARY_FUNCTION("btf__name_by_offset", &types->text),
        LIBRARY_FUNCTION("libbpf_set_print", &types->set_print),
    };
    const char *lacking;

    int rc = library_open(&types->library, "libbpf.so.1", 0, functions,
                          sizeof(functions) / sizeof(*functions), &lacking);
    if (rc == -ENOENT)
        return vmm_error_set(err, ENOSYS,
                             "BTF needs libbpf (Debian: libbpf1), which is "
                             "not installed");
    if (rc)
        return vmm_error_set(err, ENOSYS, "libbpf has no %s", lacking);
    types->set_print(NULL); /* it would write to stderr */
    return 0;
}

/* The sections lie within the bytes.  libbpf checks this too, but takes the
 * header to be as long as its own. */
static int check_header(const void *bytes, size_t size, struct vmm_error *err)
{
    struct btf_header header;

    if (size < sizeof(header) || size > VMM_TYPES_BYTES_MAX)
        return vmm_error_set(err, ENOEXEC, "%zu bytes are no BTF", size);
    memcpy(&header, bytes, sizeof(header));
    if (header.magic != BTF_MAGIC || header.version != BTF_VERSION ||
        header.flags)
        return vmm_error_set(err, ENOEXEC, "no BTF of version %d", BTF_VERSION);

    uint64_t room = size - sizeof(header);
    if (header.hdr_len != sizeof(header) || header.type_off % 4 ||
        (uint64_t)header.type_off + header.type_len > room ||
        (uint64_t)header.str_off + header.str_len > room)
        return vmm_error_set(err, ENOEXEC,
                             "BTF: sections outside its %zu bytes", size);
    return 0;
}

/* Names are shown on terminals, which are not to obey a guest's.  A kernel has
 * no others than these. */
static int check_names(const uint8_t *bytes, struct vmm_error *err)
{
    struct btf_header header;

    memcpy(&header, bytes, sizeof(header));
    const uint8_t *text = bytes + sizeof(header) + header.str_off;
    for (uint32_t i = 0; i < header.str_len; i++)
        if (text[i] && (text[i] < ' ' || text[i] > '~'))
            return vmm_error_set(
                err, ENOEXEC, "BTF: a name has the character 0x%02x", text[i]);
    return 0;
}

int vmm_types_new(const void *bytes, size_t size, struct vmm_types **result,
                  struct vmm_error *err)
{
    vmm_error_clear(err);
    *result = NULL;
    int ret = check_header(bytes, size, err);
    if (!ret)
        ret = check_names(bytes, err);
    if (ret)
        return ret;
    struct vmm_types *types = calloc(1, sizeof(*types));
    if (!types)
        return vmm_error_set(err, ENOMEM, "no memory for types");
    ret = load(types, err);
    if (!ret) {
        types->btf = types->parse(bytes, (uint32_t)size);
        if (!types->btf)
            ret = vmm_error_set(err, ENOEXEC, "libbpf refuses the BTF: %s",
                                strerror(errno));
    }
    if (ret) {
        vmm_types_free(types);
        return ret;
    }
    *result = types;
    return 0;
}

void vmm_types_free(struct vmm_types *types)
{
    if (!types)
        return;
    if (types->btf)
        types->free(types->btf);
    library_close(&types->library);
    free(types);
}

const char *types_text(const struct vmm_types *types, uint32_t offset)
{
    const char *text = types->text(types->btf, offset);

    return text ? text : "";
}

const char *vmm_type_kind_name(enum vmm_type_kind kind)
{
    static const char *const names[VMM_TYPE_KINDS] = {
        "other", "int", "enum", "float", "pointer", "array", "struct", "union"};

    return names[kind];
}

static bool is_wrapping(const struct btf_type *type)
{
    switch (btf_kind(type)) {
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_CONST:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_TYPE_TAG:
        return true;
    default:
        return false;
    }
}

static enum vmm_type_kind kind_of(const struct btf_type *type)
{
    switch (btf_kind(type)) {
    case BTF_KIND_INT:
        return VMM_TYPE_INT;
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
        return VMM_TYPE_ENUM;
    case BTF_KIND_FLOAT:
        return VMM_TYPE_FLOAT;
    case BTF_KIND_PTR:
        return VMM_TYPE_POINTER;
    case BTF_KIND_ARRAY:
        return VMM_TYPE_ARRAY;
    case BTF_KIND_STRUCT:
        return VMM_TYPE_STRUCT;
    case BTF_KIND_UNION:
        return VMM_TYPE_UNION;
    default:
        return VMM_TYPE_OTHER;
    }
}

static const struct btf_type *unwrap(const struct vmm_types *types,
                                     uint32_t *id)
{
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        const struct btf_type *type = types->by_id(types->btf, *id);
        if (!type || !is_wrapping(type))
            return type;
        *id = type->type;
    }
    return NULL;
}

/* Bytes, or 0 for what has none: a declaration, an array of such. */
static uint64_t size_of(const struct vmm_types *types, uint32_t id)
{
    uint64_t count = 1, size;

    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        const struct btf_type *type = unwrap(types, &id);
        enum vmm_type_kind kind = type ? kind_of(type) : VMM_TYPE_OTHER;

        if (kind == VMM_TYPE_OTHER)
            return 0;
        if (kind != VMM_TYPE_ARRAY) {
            size = kind == VMM_TYPE_POINTER ? sizeof(uint64_t) : type->size;
            return mul_u64(size, count, &size) ? size : 0;
        }
        if (!mul_u64(count, btf_array(type)->nelems, &count))
            return 0;
        id = btf_array(type)->type;
    }
    return 0;
}

int vmm_types_get(const struct vmm_types *types, uint32_t id,
                  struct vmm_type *result)
{
    const struct btf_type *type = unwrap(types, &id);

    if (!type)
        return types->by_id(types->btf, id) ? -ELOOP : -ENOENT;
    *result = (struct vmm_type){.id = id,
                                .kind = kind_of(type),
                                .size = size_of(types, id),
                                .name = types_text(types, type->name_off)};
    if (result->kind == VMM_TYPE_INT) {
        result->is_signed = btf_int_encoding(type) & BTF_INT_SIGNED;
        result->is_char =
            type->size == 1 && !(btf_int_encoding(type) & BTF_INT_BOOL);
    } else if (result->kind == VMM_TYPE_ENUM) {
        result->is_signed = btf_kflag(type);
    } else if (result->kind == VMM_TYPE_POINTER) {
        result->target = type->type;
    } else if (result->kind == VMM_TYPE_ARRAY) {
        result->target = btf_array(type)->type;
        result->count = btf_array(type)->nelems;
    }
    return 0;
}

int vmm_types_find(const struct vmm_types *types, const char *name,
                   struct vmm_type *type)
{
    static const uint32_t kinds[] = {BTF_KIND_STRUCT, BTF_KIND_UNION,
                                     BTF_KIND_TYPEDEF, BTF_KIND_ENUM,
                                     BTF_KIND_INT};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        int id = types->find(types->btf, name, kinds[i]);
        if (id > 0)
            return vmm_types_get(types, (uint32_t)id, type);
    }
    return -ENOENT;
}
