/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Metrics in Lua: vm:measure(on), and all that was counted as one table. */
#include "lua/classes.h"
#include "lua/ranges.h"
#include <vmm/metrics.h>
#include <vmm/stats.h>

/* vm:measure(on) -> true */
static int measure(lua_State *L)
{
    struct vm_box *box = check_vm(L, 1);
    struct vmm_error err;

    luaL_checktype(L, 2, LUA_TBOOLEAN);
    int rc = vmm_machine_measure(box->machine, lua_toboolean(L, 2), &err);
    return push_result(L, rc, &err);
}

static void set_seconds(lua_State *L, const char *name, uint64_t ns)
{
    lua_pushnumber(L, (lua_Number)ns / 1e9);
    lua_setfield(L, -2, name);
}

/* A table that is an array even when it is empty (lua/vmm/json.lua). */
static void push_array(lua_State *L)
{
    lua_newtable(L);
    luaL_newmetatable(L, "vmm.array");
    lua_setmetatable(L, -2);
}

/* { count =, sum =, max =, buckets = { { below, count }, ... } }, of which the
 * empty ones are left out; in seconds. */
static void push_histogram(lua_State *L, const struct vmm_histogram *histogram)
{
    lua_Integer length = 0;

    lua_createtable(L, 0, 4);
    box_set_integer(L, "count", histogram->count);
    set_seconds(L, "sum", histogram->sum_ns);
    set_seconds(L, "max", histogram->max_ns);
    push_array(L);
    for (size_t i = 0; i < VMM_HISTOGRAM_BUCKETS; i++) {
        if (!histogram->buckets[i])
            continue;
        uint64_t bound = vmm_histogram_bound_ns(i);
        if (bound == UINT64_MAX)
            bound = histogram->max_ns; /* the last one has none */
        lua_createtable(L, 2, 0);
        lua_pushnumber(L, (lua_Number)bound / 1e9);
        lua_rawseti(L, -2, 1);
        lua_pushinteger(L, (lua_Integer)histogram->buckets[i]);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, ++length);
    }
    lua_setfield(L, -2, "buckets");
}

/* ---- a vCPU ----------------------------------------------------------------
 */

struct view {
    struct vmm_machine *machine;
    const struct ranges *ranges;
};

static void push_access(lua_State *L, const struct view *view,
                        const struct vmm_access_metrics *access)
{
    lua_createtable(L, 0, 7);
    lua_pushstring(L, vmm_access_kind_name(access->kind));
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, access->write ? "write" : "read");
    lua_setfield(L, -2, "direction");
    box_set_integer(L, "address", access->address);
    box_set_integer(L, "size", access->size);
    box_set_integer(L, "bytes", access->bytes);
    lua_pushstring(L, /* NULL: nil */
                   ranges_name(view->ranges, access->kind, access->address));
    lua_setfield(L, -2, "device");
    push_histogram(L, &access->handling);
    lua_setfield(L, -2, "handling");
}

static void set_accesses(lua_State *L, const struct view *view, size_t index)
{
    struct vmm_access_metrics access;
    struct vmm_histogram other;

    push_array(L);
    for (size_t n = 0; vmm_machine_access(view->machine, index, n, &access);
         n++) {
        push_access(L, view, &access);
        lua_rawseti(L, -2, (lua_Integer)n + 1);
    }
    lua_setfield(L, -2, "accesses");
    vmm_machine_other_accesses(view->machine, index, &other);
    push_histogram(L, &other);
    lua_setfield(L, -2, "other_accesses");
}

static void set_exits(lua_State *L, const struct view *view, size_t index,
                      const uint64_t exits[VMM_EXIT_TYPES])
{
    struct vmm_histogram histogram;

    lua_newtable(L);
    lua_newtable(L);
    for (int type = 0; type < VMM_EXIT_TYPES; type++) {
        const char *name = vmm_exit_name((enum vmm_exit_type)type);
        vmm_machine_handling(view->machine, index, (enum vmm_exit_type)type,
                             &histogram);
        if (histogram.count) {
            push_histogram(L, &histogram);
            lua_setfield(L, -2, name);
        }
        if (exits[type]) {
            lua_pushinteger(L, (lua_Integer)exits[type]);
            lua_setfield(L, -3, name);
        }
    }
    lua_setfield(L, -3, "handling");
    lua_setfield(L, -2, "exits");
    vmm_machine_in_guest(view->machine, index, &histogram);
    push_histogram(L, &histogram);
    lua_setfield(L, -2, "in_guest");
}

/* By KVM's own names, in its own units. */
static void set_stat(void *context, const struct vmm_stat *stat)
{
    lua_State *L = context;

    if (stat->kind <= VMM_STAT_PEAK) {
        lua_pushinteger(L, (lua_Integer)stat->values[0]);
    } else {
        push_array(L);
        for (size_t i = 0; i < stat->count; i++) {
            lua_pushinteger(L, (lua_Integer)stat->values[i]);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
    }
    lua_setfield(L, -2, stat->name);
}

/* kvm = { name = value }, when there is an fd that tells. */
static void set_kvm(lua_State *L, int stats_fd)
{
    if (stats_fd < 0)
        return;
    lua_newtable(L);
    if (vmm_stats_each(stats_fd, set_stat, L) == 0)
        lua_setfield(L, -2, "kvm");
    else
        lua_pop(L, 1);
}

static void push_vcpu(lua_State *L, const struct view *view, size_t index)
{
    struct vmm_vcpu_counts counts;

    vmm_machine_vcpu_counts(view->machine, index, &counts);
    lua_createtable(L, 0, 12);
    box_set_integer(L, "id",
                    vmm_vcpu_id(vmm_machine_vcpu(view->machine, index)));
    box_set_integer(L, "kicks", counts.kicks);
    box_set_integer(L, "pauses", counts.pauses);
    set_seconds(L, "cpu", counts.cpu_ns);
    set_exits(L, view, index, counts.exits);
    set_accesses(L, view, index);
    set_kvm(L, vmm_machine_vcpu_stats_fd(view->machine, index));
}

/* ---- the VM ----------------------------------------------------------------
 */

static void set_console(lua_State *L, const struct vm_box *box)
{
    uint64_t out = 0, in = 0;

    for (struct console_box *c = box->consoles; c; c = c->next) {
        if (!c->console)
            continue;
        out += vmm_console_output_total(c->console);
        in += vmm_console_input_total(c->console);
    }
    lua_createtable(L, 0, 2);
    box_set_integer(L, "output_bytes", out);
    box_set_integer(L, "input_bytes", in);
    lua_setfield(L, -2, "console");
}

static void set_handlers(lua_State *L, const struct vm_box *box)
{
    lua_createtable(L, 0, 3);
    box_set_integer(L, "calls", box->handlers.calls);
    set_seconds(L, "waited", box->handlers.wait_ns);
    set_seconds(L, "ran", box->handlers.run_ns);
    lua_setfield(L, -2, "lua_handlers");
}

static void set_vcpus(lua_State *L, struct vmm_machine *machine)
{
    struct view view = {.machine = machine};
    int table = lua_gettop(L);
    size_t count = vmm_machine_vcpu_count(machine);

    view.ranges = ranges_push(L, machine);
    push_array(L);
    for (size_t i = 0; i < count; i++) {
        push_vcpu(L, &view, i);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, table, "vcpus");
    lua_settop(L, table);
}

/* vm:read_metrics() -> what vm:metrics() gives (lua/vmm/metrics.lua), but for
 * what Lua knows */
static int read_metrics(lua_State *L)
{
    struct vm_box *box = check_vm(L, 1);
    struct vmm_machine *machine = box->machine;
    struct vmm_memory *memory = vmm_vm_memory(vmm_machine_vm(machine));

    lua_createtable(L, 0, 12);
    lua_pushboolean(L, vmm_machine_measures(machine));
    lua_setfield(L, -2, "measuring");
    set_seconds(L, "time", vmm_now_ns());
    set_seconds(L, "uptime", vmm_machine_uptime_ns(machine));
    box_set_integer(L, "memory_bytes",
                    memory ? vmm_memory_size_bytes(memory) : 0);
    set_console(L, box);
    set_handlers(L, box);
    set_kvm(L, vmm_machine_stats_fd(machine));
    set_vcpus(L, machine);
    return 1;
}

void metrics_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"measure", measure},         {"read_metrics", read_metrics},
        {"trace_begin", trace_begin}, {"trace_end", trace_end},
        {"trace_take", trace_take},   {NULL, NULL}};

    class_extend(L, VM_CLASS, methods);
}
