-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Every mistake on the command line has one line that names it.

local cli = require "vmm.cli"

local KERNEL_KEYS =
    "valid: path, cmdline, initrd, himem_start, flow, mode, unpack,"
    .. " slide"
local MEMORY_KEYS = "valid: size_mib, shared, huge_pages"
local FORMS = "allowed: stdio, capture, pty, file=FILE, unix=PATH"

-- Each: the words given, the message.
local MISTAKES = {
    -- options
    { {}, "nothing to run: give --kernel path=FILE or a script"
        .. " (--help shows how)" },
    { { "--memory", "size_mib=64" }, "nothing to run: give --kernel path=FILE"
        .. " or a script (--help shows how)" },
    { { "--kernal", "path=k" }, "unknown option --kernal;"
        .. " did you mean --kernel?" },
    { { "--mem", "size_mib=1" }, "unknown option --mem;"
        .. " did you mean --memory?" },
    { { "--vpcu=num=1" }, "unknown option --vpcu; did you mean --vcpu?" },
    { { "--frobnicate" }, "unknown option --frobnicate; --help lists them" },
    { { "--=x" }, "unknown option --; --help lists them" },
    { { "-x" }, "unknown option -x; --help lists them" },
    { { "-ei" }, "unknown option -ei; --help lists them" },
    { { "-kernel", "path=k" }, "unknown option -kernel;"
        .. " did you mean --kernel?" },
    { { "--a\27[2Jb" }, "unknown option --a\\x1b[2Jb; --help lists them" },
    { { "--kernel" }, "--kernel needs a value: path=FILE[,key=value...]" },
    { { "--kernel", "--vcpu", "num=1" },
        "--kernel needs a value: path=FILE[,key=value...]" },
    { { "--vcpu" }, "--vcpu needs a value: num=N" },
    { { "--console" },
        "--console needs a value: stdio, capture, pty, file, unix" },
    { { "--timeout" }, "--timeout needs a value: SECONDS" },
    { { "--gdb" }, "--gdb needs a value: unix=PATH[,key=value...]" },
    { { "--kernel", "path=k", "--gdb", "wait=true" },
        "--gdb: give one of: unix=PATH, tcp=PORT" },
    { { "--kernel", "path=k", "--gdb", "unix=/a,tcp=1" },
        "--gdb: give one of: unix=PATH, tcp=PORT" },
    { { "--kernel", "path=k", "--gdb", "tcp=65536" },
        '--gdb tcp: "65536" is out of range; allowed: 0 to 65535' },
    { { "--gdb", "tcp=1", "script.lua" }, "--gdb: only with --kernel and"
        .. " without a script; a script calls vm:gdb" },
    { { "-e" }, "-e needs a value: CODE" },
    { { "--completion" }, "--completion needs a value: SHELL" },
    { { "--check=yes" }, '--check takes no value, given "yes"' },
    { { "--help=me" }, '--help takes no value, given "me"' },
    { { "--vcpu", "num=1", "--vcpu", "num=2" }, "--vcpu is given twice" },
    { { "--vcpu", "num=1", "--vcpus", "num=2" },
        "--vcpu and --vcpus are the same option; give one" },
    { { "--kernel", "path=a", "--kernel", "path=b" },
        "--kernel is given twice" },
    { { "--completion", "zsh" },
        '--completion: "zsh" is not known; allowed: bash' },

    -- devices
    { { "--vsock" }, "--vsock needs a value: cid=N[,key=value...]" },
    { { "--vsock", "cid=4" }, "--vsock: path=PATH is missing" },
    { { "--vsock", "cid=2,path=s" },
        "--vsock cid: \"2\" is out of range; allowed: 3 to 4294967294" },
    { { "--rng" }, "--rng needs a value: rate=BYTES" },
    { { "--balloon" },
        "--balloon needs a value: mib=MIB[,key=value...]" },
    { { "--share", "a" },
        '--share: "a" is not key=value; valid: path, tag, readonly, sandbox, socket' },
    { { "--share", "path=/a" }, "--share: tag=NAME is missing" },
    { { "--share", "tag=a" }, "--share: give one of: path=FOLDER, socket=PATH" },
    { { "--share", "tag=a,path=/a,socket=/b" }, "--share: give one of: path=FOLDER, socket=PATH" },
    { { "--share", "tag=a,socket=/b,readonly=true" }, "--share: readonly: only with path=FOLDER" },
    { { "--block", "readonly=true" }, "--block: give one of: path=FILE, socket=PATH" },
    { { "--block", "path=a,format=qcow" },
        '--block format: "qcow" is not known, did you mean "qcow2"? '
            .. 'allowed: raw, qcow2, vmdk, vdi, vhdx, vpc' },
    { { "--block", "path=a,format=qcow2,serial=x" },
        "--block: serial: only with format=raw and path=FILE" },
    { { "--block", "socket=a,format=qcow2" }, "--block: format: only with path=FILE" },
    { { "--block", "socket=a,direct=true" }, "--block: direct: only with path=FILE" },
    { { "--transport=isa" }, '--transport: "isa" is not known; allowed: mmio, pci' },

    -- parameters that are right by themselves
    { { "--net", "mtu=1500" },
        "--net: give one of: user=true, tap=NAME, link=NAME" },
    { { "--net", "user=true,forward=tcp:80" },
        '--net: forward: "tcp:80" is not like'
            .. " tcp:[ADDRESS:]PORT-[ADDRESS:]PORT (or udp:)" },
    -- the terminal
    { { "--kernel", "path=k", "--console", "stdio", "--virtio-console",
        "to=stdio" }, "--console stdio and --virtio-console to=stdio both want"
        .. " the terminal" },
    { { "--kernel", "path=k", "-i", "--virtio-console", "to=stdio" },
        "-i and --virtio-console to=stdio both want the terminal;"
            .. " Ctrl-A c opens a prompt there" },

    -- keys
    { { "--memory", "512" }, '--memory: "512" is not key=value; '
        .. MEMORY_KEYS },
    { { "--memory", "=512" }, '--memory: "=512" is not key=value; '
        .. MEMORY_KEYS },
    { { "--memory", "size=512" }, '--memory: unknown parameter "size",'
        .. ' did you mean "size_mib"? ' .. MEMORY_KEYS },
    { { "--memory", "mib=512" }, '--memory: unknown parameter "mib"; '
        .. MEMORY_KEYS },
    { { "--memory", "size_mib=512,sharde=true" },
        '--memory: unknown parameter "sharde", did you mean "shared"? '
            .. MEMORY_KEYS },
    { { "--memory", "size_mib=512,color=red" },
        '--memory: unknown parameter "color"; ' .. MEMORY_KEYS },
    { { "--vcpu", "count=2" }, '--vcpu: unknown parameter "count";'
        .. " valid: num" },
    { { "--vcpus", "nun=2" }, '--vcpus: unknown parameter "nun",'
        .. ' did you mean "num"? valid: num' },
    { { "--kernel", "file=k" }, '--kernel: unknown parameter "file"; '
        .. KERNEL_KEYS },
    { { "--kernel", "path=k,cmd_line=quiet" },
        '--kernel: unknown parameter "cmd_line", did you mean "cmdline"? '
            .. KERNEL_KEYS },
    { { "--kernel", "path=k,path=l" }, '--kernel: "path" is given twice' },
    { { "--kernel", "path=k,himem_start=1,himem_start=1" },
        '--kernel: "himem_start" is given twice' },
    { { "--kernel", "path=k,himem_start=0x1000,kernel_load_addr=0x1000" },
        '--kernel: "himem_start" and "kernel_load_addr" are the same'
            .. " parameter; give one" },
    { { "--memory", "size_mib=,size_mib=" },
        '--memory: "size_mib" is given twice' },
    { { "--kernel", "" }, "--kernel: path=FILE is missing" },
    { { "--kernel", "path=" }, "--kernel: path=FILE is missing" },
    { { "--kernel", "cmdline=quiet" }, "--kernel: path=FILE is missing" },

    -- numbers
    { { "--memory", "size_mib=1G" }, '--memory size_mib: "1G" is not a whole'
        .. " number; allowed: 1 to 67108864" },
    { { "--memory", "size_mib=1.5" }, '--memory size_mib: "1.5" is not a'
        .. " whole number; allowed: 1 to 67108864" },
    { { "--memory", "size_mib=1e3" }, '--memory size_mib: "1e3" is not a'
        .. " whole number; allowed: 1 to 67108864" },
    { { "--memory", "size_mib= 64" }, '--memory size_mib: " 64" is not a'
        .. " whole number; allowed: 1 to 67108864" },
    { { "--memory", "size_mib=0x" }, '--memory size_mib: "0x" is not a whole'
        .. " number; allowed: 1 to 67108864" },
    { { "--memory", "size_mib=64," }, '--memory size_mib: "64," is not a'
        .. " whole number; allowed: 1 to 67108864" },
    { { "--memory", "size_mib=0" }, '--memory size_mib: "0" is out of range;'
        .. " allowed: 1 to 67108864" },
    { { "--memory", "size_mib=-1" }, '--memory size_mib: "-1" is out of'
        .. " range; allowed: 1 to 67108864" },
    { { "--memory", "size_mib=67108865" }, '--memory size_mib: "67108865" is'
        .. " out of range; allowed: 1 to 67108864" },
    { { "--memory", "size_mib=18446744073709551617" },
        '--memory size_mib: "18446744073709551617" is out of range;'
            .. " allowed: 1 to 67108864" },
    { { "--memory", "size_mib=0x10000000000000001" },
        '--memory size_mib: "0x10000000000000001" is out of range;'
            .. " allowed: 1 to 67108864" },
    { { "--memory", "size_mib=64\n" }, '--memory size_mib: "64\\n" is not a'
        .. " whole number; allowed: 1 to 67108864" },
    { { "--vcpu", "num=0" },
        '--vcpu num: "0" is out of range; allowed: 1 to 254' },
    { { "--vcpu", "num=255" },
        '--vcpu num: "255" is out of range; allowed: 1 to 254' },
    { { "--vcpu", "num=two" },
        '--vcpu num: "two" is not a whole number; allowed: 1 to 254' },
    { { "--kernel", "path=k,himem_start=-1" },
        '--kernel himem_start: "-1" is out of range;'
            .. " allowed: 0x0 to 0xfffffffffffff" },
    { { "--kernel", "path=k,kernel_load_addr=1MiB" },
        '--kernel kernel_load_addr: "1MiB" is not a whole number;'
            .. " allowed: 0x0 to 0xfffffffffffff" },
    { { "--kernel", "path=k,slide=0x1000" },
        '--kernel slide: "0x1000" is not a multiple of 0x200000;'
            .. " allowed: 0x0 to 0x40000000 in steps of 0x200000" },
    { { "--kernel", "path=k,slide=0x40200000" },
        '--kernel slide: "0x40200000" is out of range;'
            .. " allowed: 0x0 to 0x40000000 in steps of 0x200000" },
    { { "--kernel", "path=k,flow=flat,mode=8" },
        '--kernel mode: "8" is not among them; allowed: 16, 32, 64' },
    { { "--kernel", "path=k,flow=flat,mode=real" },
        '--kernel mode: "real" is not a whole number;'
            .. " allowed: 16, 32, 64" },
    { { "--kernel", "path=k,mode=16" },
        "--kernel mode: only with flow=flat" },
    { { "--timeout", "soon" },
        '--timeout: "soon" is not a number; allowed: 0.001 to 1000000000' },
    { { "--timeout", "0" },
        '--timeout: "0" is out of range; allowed: 0.001 to 1000000000' },

    -- words
    { { "--memory", "shared=yes" },
        '--memory shared: "yes" is not a boolean; allowed: true, false' },
    { { "--kernel", "path=k,unpack=1" },
        '--kernel unpack: "1" is not a boolean; allowed: true, false' },
    { { "--kernel", "path=k,flow=linux" },
        '--kernel flow: "linux" is not known, did you mean "linux64"?'
            .. " allowed: linux64, pvh, flat" },
    { { "--kernel", "path=k,flow=uefi" },
        '--kernel flow: "uefi" is not known;'
            .. " allowed: linux64, pvh, flat" },
    { { "--console", "stdoi" },
        '--console: "stdoi" is not known, did you mean "stdio"? ' .. FORMS },
    { { "--console", "" }, '--console: "" is not known; ' .. FORMS },
    { { "--console", "stdio=1" },
        '--console: stdio takes no value, given "1"' },
    { { "--console", "file" }, "--console: file needs a value: file=FILE" },
    { { "--console", "file=" }, "--console: file needs a value: file=FILE" },
    { { "--console=unix" }, "--console: unix needs a value: unix=PATH" },
    { { "--name", "a b" }, '--name: "a b" has other characters;'
        .. " allowed: letters, digits and . _ -" },
    { { "--name", ("x"):rep(33) },
        '--name: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" has 33 bytes;'
            .. " allowed: 32" },

    -- quotes
    { { "--kernel", 'path=k,cmdline="quiet' },
        "--kernel cmdline: its opening quote is not closed" },
    { { "--kernel", "path='k,cmdline=quiet" },
        "--kernel path: its opening quote is not closed" },
    { { "--kernel", 'path=k,cmdline="a" b' },
        '--kernel cmdline: " b" follows its closing quote' },
    { { "--kernel", 'path="k",cmd=a' },
        '--kernel path: ",cmd=a" follows its closing quote' },
    { { "--kernel", 'path=k,cmdline=a "b' },
        '--kernel cmdline: a " in it is not closed;'
            .. ' write \\" for a plain one' },
}

describe("the command line refuses", function()
    for _, mistake in ipairs(MISTAKES) do
        local words, message = mistake[1], mistake[2]
        it(("[%s]"):format(table.concat(words, " "):gsub("%c", "?")),
            function()
                local parsed, said = cli.parse(words)
                assert.is_nil(parsed)
                assert.equal(message, said)
            end)
    end

    it("every mistake in one line without control characters", function()
        for _, mistake in ipairs(MISTAKES) do
            local _, said = cli.parse(mistake[1])
            assert.is_nil(said:match "%c", said)
        end
    end)

    it("a very long value in a short line", function()
        local _, said = cli.parse { "--memory",
            "size_mib=" .. ("9"):rep(100000) }
        assert.equal('--memory size_mib: "' .. ("9"):rep(80) .. '..." is out'
            .. " of range; allowed: 1 to 67108864", said)
    end)
end)
