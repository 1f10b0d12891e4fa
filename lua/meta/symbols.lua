---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Introspection: a guest's virtual memory, symbols, types, tasks, stacks and code.
--
-- What is the vCPU's (registers, its page tables) can be asked while the VM is paused, or in a
-- handler on this vCPU's own thread; else there is nil, message, "EBUSY". What is the kernel's own
-- can be read while the guest runs, once VMCOREINFO is known: after vm:load_symbols(), or the first
-- vm:symbol.
-- A guest may answer anything: sizes are bounded, lists end, and no address is trusted.

---@class vmm.vm
---@field symbols? vmm.symbols  those that are loaded
---@field linux? vmm.linux      what VMCOREINFO says, once it has been found
local vm = {}

---@class vmm.linux
---@field release string   "6.1.0-56-cloud-amd64"
---@field slide integer    bytes that KASLR has moved the kernel by
---@field symbols table<string, integer>   SYMBOL(...) lines
---@field numbers table<string, integer>   NUMBER(...) lines
---@field space { [1]: integer, [2]: integer }  CR3 and levels of the kernel's own page tables

-- ---- memory ---------------------------------------------------------------------------------

---@class vmm.virtual_options
---@field vcpu? integer    by this vCPU's page tables (1; kernel addresses: the kernel's own)
---@field cr3? integer     by the page tables at this physical address: of any process
---@field levels? integer  of those: 5, 4, 3 (PAE), 2 (32-bit), 0 (none) (4)

---Reads guest virtual memory, all of it (at most 256 MiB) or nothing. "EFAULT" names the first page
---that is not mapped to RAM. Permissions are not looked at.
---@param gva integer
---@param len integer
---@param options? vmm.virtual_options
---@return string? bytes, string? message, string? code
function vm:read_virtual(gva, len, options) end

---Writes guest virtual memory, also where the guest may not; nothing when a page is not there.
---@param gva integer
---@param bytes string
---@param options? vmm.virtual_options
---@return true? ok, string? message, string? code
function vm:write_virtual(gva, bytes, options) end

---@class vmm.vcpu
local vcpu = {}

---The page tables that the vCPU uses: what the doors of vmm.memory below take.
---@return integer? cr3, integer|string levels, string? code
function vcpu:address_space() end

---@class vmm.memory
local memory = {}

---@param gva integer
---@param len integer
---@param cr3 integer
---@param levels integer
---@return string? bytes, string? message, string? code
function memory:read_virtual(gva, len, cr3, levels) end

---@param gva integer
---@param bytes string
---@param cr3 integer
---@param levels integer
---@return true? ok, string? message, string? code
function memory:write_virtual(gva, bytes, cr3, levels) end

---@param gva integer
---@param cr3 integer
---@param levels integer
---@return integer? gpa, integer|string run, string? code  run: bytes to the end of the page
function memory:translate(gva, cr3, levels) end

---The lowest physical address at which the pattern (1 to 4096 bytes) lies. Pages that the guest has
---not touched are skipped and stay untouched.
---@param pattern string
---@param from? integer  first address (0)
---@param to? integer    end of the last match (none)
---@param step? integer  only at from + n * step (1)
---@return integer? gpa, string? message, string? code  "ENOENT"
function memory:find(pattern, from, to, step) end

-- ---- symbols --------------------------------------------------------------------------------

---@class vmm.load_symbols_options
---@field path? string    a vmlinux (any ELF file, by libelf) or System.map; none: the guest's own
---@field slide? integer  bytes that a file's symbols have moved by (as VMCOREINFO says, else 0)

---Loads symbols: without a path those in the running kernel's kallsyms (Linux from 6.0 on), which
---the VMCOREINFO note in the guest's memory leads to. What was known of the kernel is forgotten.
---@param options? vmm.load_symbols_options
---@return vmm.symbols? symbols, string? message, string? code  "ENOENT": none there, or not yet
function vm:load_symbols(options) end

---The address of "name", "name+0x10" or "name-8". Where several symbols have the name it is that of
---the lowest address; a module's counts when the kernel has none. Per-CPU variables have the offset
---that vm:per_cpu adds. The first use loads the guest's own symbols.
---@param name string
---@return integer? address, integer|string count, string? code  count: how many have the name
function vm:symbol(name) end

---"name+0x10", "name" at its begin, "name+0x10 [module]" in a module.
---@param address integer
---@return string? text, string? message, string? code  "ENOENT"
function vm:symbolize(address) end

---The same in parts.
---@param address integer
---@return string? name, integer|string offset, integer|string size, string? module
function vm:locate(address) end

---Like vm:symbol, of the kernel itself only.
---@param name string
---@return integer? address, string? message, string? code
function vm:kernel_symbol(name) end

---@class vmm.symbols
local symbols = {}
---@param name string
---@return integer? address, integer? count
function symbols:find(name) end
---The symbol that the address lies in.
---@param address integer
---@return string? name, integer? start, string? type, integer? size
function symbols:at(address) end
---By address, from 1 on.
---@param index integer
---@return string name, integer address, string type, integer size
function symbols:get(index) end
---@return integer
function symbols:count() end
function symbols:close() end

-- ---- types ----------------------------------------------------------------------------------

---The kernel's types, from its own BTF (by libbpf).
---@return vmm.types? types, string? message, string? code
function vm:types() end

---@class vmm.types
local types = {}

---@class vmm.type
---@field id integer
---@field name string
---@field kind "int"|"enum"|"float"|"pointer"|"array"|"struct"|"union"|"other"
---@field size integer
---@field signed boolean
---@field char boolean      an integer of one byte
---@field target? integer   id of what a pointer points to, of an array's elements
---@field count? integer    elements of an array
---@field offset? integer   of a field: bytes
---@field bits? integer     of a bit-field
---@field shift? integer    its first bit, from offset

---@param name string|integer  "task_struct", "struct task_struct", "u64", or an id
---@return vmm.type? type, string? message, string? code
function types:type(name) end
---Where a field is: "comm", "se.vruntime", "cpus[3].mask"; members of anonymous members count as
---the structure's own.
---@param name string|integer
---@param path string
---@return integer? bytes, integer|string? shift, integer|string? bits  the last two: of bit-fields
function types:offset(name, path) end
---@param name string|integer
---@param path string
---@return vmm.type? field, string? message, string? code
function types:field(name, path) end
---@param name string|integer
---@return integer? bytes, string? message, string? code
function types:size(name) end
---@param name string|integer
---@return string[]? names, string? message, string? code  "" is an anonymous member
function types:members(name) end
function types:close() end

---An object whose fields are read from the guest as they are asked for: task.comm,
---task.se.vruntime, task.cpus_mask.bits[0]. Integers, enumerations and pointers are integers,
---arrays of char strings, other arrays (from 0, # tells the count) and structures objects. A field
---that there is not raises, memory that is not there gives nil (vm:fetch says why).
---@param name string
---@param address integer
---@return vmm.struct? object, string? message, string? code
function vm:struct(name, address) end

---@class vmm.struct
---@field [string|integer] any

---@param object vmm.struct
---@param path string
---@return any value, string? message, string? code
function vm:fetch(object, path) end

---The same of what must be an integer, whatever the guest says its types are.
---@param object vmm.struct
---@param path string
---@return integer? value, string? message, string? code  "ENOEXEC"
function vm:fetch_integer(object, path) end

---@param object vmm.struct
---@param path? string
---@return integer? address, string? message, string? code
function vm:address_of(object, path) end

---What a pointer points to, as an object or a value.
---@param object vmm.struct
---@param path string
---@return any target, string? message, string? code
function vm:follow(object, path) end

-- ---- tasks, modules ----------------------------------------------------------------------------

---The task that runs on a vCPU: .comm, .pid, ...
---@param vcpu? integer  1
---@return vmm.struct? task, string? message, string? code
function vm:current(vcpu) end

---The address of a vCPU's instance of a per-CPU variable.
---@param name string
---@param vcpu integer
---@return integer? address, string? message, string? code
function vm:per_cpu(name, vcpu) end

---All processes but the idle one, oldest first.
---@return vmm.struct[]? tasks, string? message, string? code
function vm:tasks() end

---@class vmm.module
---@field name string
---@field base integer
---@field size integer
---@field struct vmm.struct  the kernel's struct module
local module = {}
---@param address integer
---@return boolean
function module:has(address) end
---@return vmm.symbols
function module:symbols() end

---@param options? { fresh?: boolean }  look again, instead of what was known
---@return vmm.module[]? modules, string? message, string? code
function vm:modules(options) end

-- ---- stacks, code ------------------------------------------------------------------------------

---@class vmm.frame
---@field address integer   where it goes on: of all but the first frame a return address
---@field symbol? string    "do_idle+0x1e2"
---@field size? integer     of the function
---@field sp integer        the stack pointer there
---@field kind "call"|"interrupt"|"user"  how it was left; "user" is the last
---@field unsure? boolean   guessed by frame pointers, for lack of an ORC entry

---@class vmm.trace
---@field [integer] vmm.frame
---@field ends "user"|"end"|"unknown"|"depth"

---The calls that a vCPU is in, or a task that does not run (an object of vm:struct, or its
---address), the innermost first: by the kernel's ORC tables, where there are none by frame
---pointers. Goes through interrupts to user mode, where it stops. tostring(trace) is like a
---kernel's.
---@param what? integer|vmm.struct  a vCPU (1) or a task
---@param options? { depth?: integer }  at most so many frames (64; 1024)
---@return vmm.trace? trace, string? message, string? code
function vm:backtrace(what, options) end

---@class vmm.disassemble_options
---@field vcpu? integer  whose mode and page tables count (1)
---@field syntax? "intel"|"att"
---@field bits? 64|32|16   as the vCPU's code segment says
---@field cr3? integer
---@field levels? integer

---@class vmm.instruction
---@field address integer
---@field size integer
---@field bytes string
---@field text string      "call 0xffffffff81017a00"
---@field target? integer  where a direct branch goes, what an operand relative to RIP is
---@field branch? boolean  the target is a branch's
---@field symbol? string   the target's, once symbols are loaded
---@field label? string    the symbol that begins here

---Disassembles (by capstone) what is at a virtual address; what is no instruction is shown as a
---byte. tostring() of it all, and of each, is a listing.
---@param address integer
---@param count? integer  10; at most 4096
---@param options? vmm.disassemble_options
---@return vmm.instruction[]? code, string? message, string? code
function vm:disassemble(address, count, options) end
