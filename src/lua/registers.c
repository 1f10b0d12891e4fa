/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Tables that map register names to places in KVM's structures, both ways. */
#include <lauxlib.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lua/registers.h"

#define CPUID_ENTRIES_MAX 256

struct field {
    const char *name;
    size_t offset;
    size_t size; /* bytes: 1, 2, 4, 8 */
};

#define FIELD(type, name)                                                      \
    {                                                                          \
#name, offsetof(struct type, name), sizeof(((struct type *)0)->name)   \
    }

static const struct field regs_fields[] = {
    FIELD(kvm_regs, rax), FIELD(kvm_regs, rbx), FIELD(kvm_regs, rcx),
    FIELD(kvm_regs, rdx), FIELD(kvm_regs, rsi), FIELD(kvm_regs, rdi),
    FIELD(kvm_regs, rsp), FIELD(kvm_regs, rbp), FIELD(kvm_regs, r8),
    FIELD(kvm_regs, r9),  FIELD(kvm_regs, r10), FIELD(kvm_regs, r11),
    FIELD(kvm_regs, r12), FIELD(kvm_regs, r13), FIELD(kvm_regs, r14),
    FIELD(kvm_regs, r15), FIELD(kvm_regs, rip), FIELD(kvm_regs, rflags),
    {NULL, 0, 0},
};

static const struct field control_fields[] = {
    FIELD(kvm_sregs, cr0),       FIELD(kvm_sregs, cr2), FIELD(kvm_sregs, cr3),
    FIELD(kvm_sregs, cr4),       FIELD(kvm_sregs, cr8), FIELD(kvm_sregs, efer),
    FIELD(kvm_sregs, apic_base), {NULL, 0, 0},
};

static const struct field segment_fields[] = {
    FIELD(kvm_segment, base),
    FIELD(kvm_segment, limit),
    FIELD(kvm_segment, selector),
    FIELD(kvm_segment, type),
    FIELD(kvm_segment, present),
    FIELD(kvm_segment, dpl),
    FIELD(kvm_segment, db),
    FIELD(kvm_segment, s),
    FIELD(kvm_segment, l),
    FIELD(kvm_segment, g),
    FIELD(kvm_segment, avl),
    FIELD(kvm_segment, unusable),
    {NULL, 0, 0},
};

static const struct field table_fields[] = {
    FIELD(kvm_dtable, base), FIELD(kvm_dtable, limit), {NULL, 0, 0}};

static const struct field cpuid_fields[] = {
    {"function_", offsetof(struct kvm_cpuid_entry2, function), 4},
    FIELD(kvm_cpuid_entry2, index),
    FIELD(kvm_cpuid_entry2, flags),
    FIELD(kvm_cpuid_entry2, eax),
    FIELD(kvm_cpuid_entry2, ebx),
    FIELD(kvm_cpuid_entry2, ecx),
    FIELD(kvm_cpuid_entry2, edx),
    {NULL, 0, 0},
};

/* Members of kvm_sregs that are structures themselves. */
struct part {
    const char *name;
    size_t offset;
    const struct field *fields;
};

static const struct part sregs_parts[] = {
    {"cs", offsetof(struct kvm_sregs, cs), segment_fields},
    {"ds", offsetof(struct kvm_sregs, ds), segment_fields},
    {"es", offsetof(struct kvm_sregs, es), segment_fields},
    {"fs", offsetof(struct kvm_sregs, fs), segment_fields},
    {"gs", offsetof(struct kvm_sregs, gs), segment_fields},
    {"ss", offsetof(struct kvm_sregs, ss), segment_fields},
    {"tr", offsetof(struct kvm_sregs, tr), segment_fields},
    {"ldt", offsetof(struct kvm_sregs, ldt), segment_fields},
    {"gdt", offsetof(struct kvm_sregs, gdt), table_fields},
    {"idt", offsetof(struct kvm_sregs, idt), table_fields},
    {NULL, 0, NULL},
};

/* Little endian, as the host is. */
static void push_fields(lua_State *L, const struct field *fields,
                        const void *from)
{
    for (; fields->name; fields++) {
        uint64_t value = 0;
        memcpy(&value, (const char *)from + fields->offset, fields->size);
        lua_pushinteger(L, (lua_Integer)value);
        lua_setfield(L, -2, fields->name);
    }
}

static const struct field *find_field(const struct field *fields,
                                      const char *name)
{
    for (; fields->name; fields++)
        if (strcmp(fields->name, name) == 0)
            return fields;
    return NULL;
}

/* Store the value on top into one field. */
static void read_field(lua_State *L, const struct field *field, void *to)
{
    int is_integer;
    uint64_t value = (uint64_t)lua_tointegerx(L, -1, &is_integer);

    if (!is_integer)
        luaL_error(L, "%s must be an integer, not %s", field->name,
                   luaL_typename(L, -1));
    if (field->size < 8 && value >> (8 * field->size))
        luaL_error(L, "%s does not fit %d bits", field->name,
                   (int)(8 * field->size));
    memcpy((char *)to + field->offset, &value, field->size);
}

/* Store what the table at index names; what names the table in errors. */
static void read_fields(lua_State *L, int index, const char *what,
                        const struct field *fields, void *to)
{
    int table = lua_absindex(L, index);

    luaL_argexpected(L, lua_istable(L, table), table, "table");
    lua_pushnil(L);
    while (lua_next(L, table)) {
        const char *name =
            lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        const struct field *field = find_field(fields, name);
        if (!field)
            luaL_error(L, "%s has no field '%s'", what, name);
        read_field(L, field, to);
        lua_pop(L, 1);
    }
}

void push_regs(lua_State *L, const struct kvm_regs *regs)
{
    lua_newtable(L);
    push_fields(L, regs_fields, regs);
}

void read_regs(lua_State *L, int index, struct kvm_regs *regs)
{
    read_fields(L, index, "regs", regs_fields, regs);
}

void push_sregs(lua_State *L, const struct kvm_sregs *sregs)
{
    lua_newtable(L);
    push_fields(L, control_fields, sregs);
    for (const struct part *part = sregs_parts; part->name; part++) {
        lua_newtable(L);
        push_fields(L, part->fields, (const char *)sregs + part->offset);
        lua_setfield(L, -2, part->name);
    }
}

static const struct part *find_part(const char *name)
{
    for (const struct part *part = sregs_parts; part->name; part++)
        if (strcmp(part->name, name) == 0)
            return part;
    return NULL;
}

void read_sregs(lua_State *L, int index, struct kvm_sregs *sregs)
{
    int table = lua_absindex(L, index);

    luaL_checktype(L, table, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        const char *name =
            lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        const struct part *part = find_part(name);
        const struct field *field = find_field(control_fields, name);
        if (part)
            read_fields(L, -1, part->name, part->fields,
                        (char *)sregs + part->offset);
        else if (field)
            read_field(L, field, sregs);
        else
            luaL_error(L, "sregs has no field '%s'", name);
        lua_pop(L, 1);
    }
}

void push_cpuid(lua_State *L, const struct kvm_cpuid2 *cpuid)
{
    lua_createtable(L, (int)cpuid->nent, 0);
    for (uint32_t i = 0; i < cpuid->nent; i++) {
        lua_createtable(L, 0, 7);
        push_fields(L, cpuid_fields, &cpuid->entries[i]);
        lua_seti(L, -2, (lua_Integer)i + 1);
    }
}

struct kvm_cpuid2 *read_cpuid(lua_State *L, int index)
{
    int list = lua_absindex(L, index);

    luaL_checktype(L, list, LUA_TTABLE);
    lua_Integer count = luaL_len(L, list);
    if (count > CPUID_ENTRIES_MAX)
        luaL_error(L, "cpuid has %I entries, at most %d are possible",
                   (LUAI_UACINT)count, CPUID_ENTRIES_MAX);
    size_t size = sizeof(struct kvm_cpuid2) +
                  (size_t)count * sizeof(struct kvm_cpuid_entry2);
    struct kvm_cpuid2 *cpuid = lua_newuserdatauv(L, size, 0);
    memset(cpuid, 0, size);
    cpuid->nent = (uint32_t)count;
    for (lua_Integer i = 1; i <= count; i++) {
        if (lua_geti(L, list, i) != LUA_TTABLE)
            luaL_error(L, "cpuid entry %I is not a table", (LUAI_UACINT)i);
        read_fields(L, -1, "a cpuid entry", cpuid_fields,
                    &cpuid->entries[i - 1]);
        lua_pop(L, 1);
    }
    return cpuid;
}
