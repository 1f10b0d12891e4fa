/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Fuzzes BTF as a guest may have it: parsed, its types listed, fields sought.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/types.h>

#include "require.h"

#define TYPES_MAX   64
#define MEMBERS_MAX 64

static void look_at(const struct vmm_types *types, const struct vmm_type *type)
{
    struct vmm_type_field member, found;
    const char *name;

    REQUIRE(type->kind < VMM_TYPE_KINDS && type->name);
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        if (vmm_types_member(types, type, i, &name, &member))
            continue;
        REQUIRE(strlen(name) < VMM_TYPES_BYTES_MAX);
        if (!strpbrk(name, ".[") && *name)
            REQUIRE(vmm_types_field(types, type, name, &found, NULL) == 0);
    }
    vmm_types_field(types, type, "a.b[1].c", &found, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void *kept; /* loading it anew each time would take most of it */
    struct vmm_types *types;
    struct vmm_type type;
    struct vmm_error err;

    if (!kept)
        kept = dlopen("libbpf.so.1", RTLD_NOW | RTLD_LOCAL);

    int ret = vmm_types_new(data, size, &types, &err);

    REQUIRE(-ret == err.code && !ret == !!types);
    if (ret)
        return 0;
    for (uint32_t id = 0; id < TYPES_MAX; id++)
        if (vmm_types_get(types, id, &type) == 0)
            look_at(types, &type);
    vmm_types_find(types, "a", &type);
    vmm_types_free(types);
    return 0;
}
