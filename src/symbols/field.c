/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Fields of a structure by their path: "se.vruntime", "cpus[3].mask". */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbols/btf.h"

/* Anonymous structures in each other; and how many members are looked at for
 * one name, so that types that contain themselves come to an end. */
#define DEPTH_MAX   16
#define MEMBERS_MAX 100000

/* A part of a path. */
struct word {
    const char *text;
    size_t bytes;
};

int vmm_types_member(const struct vmm_types *types, const struct vmm_type *in,
                     uint32_t index, const char **name,
                     struct vmm_type_field *field)
{
    const struct btf_type *type = types->by_id(types->btf, in->id);

    if (!type || !btf_is_composite(type) || index >= btf_vlen(type))
        return -ENOENT;
    const struct btf_member *member = btf_members(type) + index;
    *name = types_text(types, member->name_off);
    field->bit_offset = btf_member_bit_offset(type, index);
    field->bits = btf_member_bitfield_size(type, index);
    return vmm_types_get(types, member->type, &field->type);
}

/* The member of this name, in anonymous members too. */
static int find_member(const struct vmm_types *types, const struct vmm_type *in,
                       struct word word, int depth, unsigned *budget,
                       struct vmm_type_field *field)
{
    const struct btf_type *type = types->by_id(types->btf, in->id);
    const char *name;

    if (!type || !btf_is_composite(type))
        return -ENOENT;
    for (uint32_t i = 0; i < btf_vlen(type) && *budget; i++) {
        --*budget;
        if (vmm_types_member(types, in, i, &name, field))
            continue; /* of an impossible type */
        if (strlen(name) == word.bytes &&
            memcmp(name, word.text, word.bytes) == 0)
            return 0;
        if (*name || depth == DEPTH_MAX ||
            (field->type.kind != VMM_TYPE_STRUCT &&
             field->type.kind != VMM_TYPE_UNION))
            continue;
        struct vmm_type inner = field->type;
        uint64_t offset = field->bit_offset;
        if (find_member(types, &inner, word, depth + 1, budget, field) == 0) {
            field->bit_offset += offset;
            return 0;
        }
    }
    return -ENOENT;
}

/* "[3]" at *path: go to that element. */
static int enter_element(const struct vmm_types *types, const char **path,
                         struct vmm_type_field *field)
{
    char *end;
    unsigned long index = strtoul(*path + 1, &end, 0);
    struct vmm_type element;

    if (end == *path + 1 || *end != ']' || field->type.kind != VMM_TYPE_ARRAY ||
        (field->type.count && index >= field->type.count) ||
        index > UINT32_MAX ||
        vmm_types_get(types, field->type.target, &element))
        return -ENOENT;
    field->bit_offset += (uint64_t)index * element.size * 8;
    field->type = element;
    *path = end + 1;
    return 0;
}

static int enter_member(const struct vmm_types *types, const char **path,
                        struct vmm_type_field *field)
{
    struct word word = {*path, strcspn(*path, ".[")};
    struct vmm_type in = field->type;
    uint64_t offset = field->bit_offset;
    unsigned budget = MEMBERS_MAX;

    if (!word.bytes || find_member(types, &in, word, 0, &budget, field))
        return -ENOENT;
    field->bit_offset += offset;
    *path += word.bytes;
    return 0;
}

int vmm_types_field(const struct vmm_types *types, const struct vmm_type *in,
                    const char *path, struct vmm_type_field *field,
                    struct vmm_error *err)
{
    const char *at = path;

    vmm_error_clear(err);
    *field = (struct vmm_type_field){.type = *in};
    do {
        struct vmm_type within = field->type;
        int ret = *at == '[' ? enter_element(types, &at, field)
                             : enter_member(types, &at, field);
        if (ret)
            return vmm_error_set(err, ENOENT, "%s %s has no field \"%s\"",
                                 vmm_type_kind_name(within.kind), within.name,
                                 at);
        if (*at == '.' && at[1])
            at++;
        else if (*at && *at != '[')
            return vmm_error_set(err, ENOENT, "\"%s\" is no path of fields",
                                 path);
    } while (*at);
    return 0;
}
