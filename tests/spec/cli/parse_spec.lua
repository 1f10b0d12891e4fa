-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a correct command line means.

local cli = require "vmm.cli"

local DEFAULT_CMDLINE = "console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off"

local function kernel_of(...)
    return assert(cli.parse { "--kernel", ... }).config.kernel
end

describe("the command line", function()
    it("boots the seed's first example", function()
        local parsed = assert(cli.parse { "--kernel",
            "path=/path/to/kernel/image,cmdline=reboot=k panic=1 pci=off" })
        assert.equal("boot", parsed.action)
        assert.equal("/path/to/kernel/image", parsed.config.kernel.path)
        assert.equal("reboot=k panic=1 pci=off", parsed.config.kernel.cmdline)
    end)

    it("boots the seed's second example", function()
        local parsed = assert(cli.parse { "--memory", "size_mib=1024",
            "--vcpu", "num=2", "--kernel", "path=/path/to/kernel/image" })
        assert.same({ size_mib = 1024, shared = false, huge_pages = false },
            parsed.config.memory)
        assert.same({ num = 2 }, parsed.config.vcpus)
        assert.equal("boot", parsed.action)
    end)

    it("fills in every default", function()
        assert.same({
            name = "vm",
            memory = { size_mib = 256, shared = false, huge_pages = false },
            vcpus = { num = 1 },
            kernel = { path = "k", cmdline = DEFAULT_CMDLINE,
                himem_start = 0x100000, slide = 0 },
            console = "stdio",
            transport = "mmio",
        }, assert(cli.parse { "--kernel", "path=k" }).config)
    end)

    it("takes --option=value like --option value", function()
        assert.same(cli.parse { "--kernel", "path=k", "--vcpus", "num=3" },
            cli.parse { "--kernel=path=k", "--vcpus=num=3" })
    end)

    it("takes every parameter of --kernel", function()
        assert.same({ path = "a", cmdline = "b c", initrd = "d",
            himem_start = 0x200000, flow = "pvh", unpack = true,
            slide = 0x400000,
        }, kernel_of("path=a,cmdline=b c,initrd=d,himem_start=2097152,"
            .. "flow=pvh,unpack=true,slide=0x400000"))
    end)

    it("takes kernel_load_addr as himem_start", function()
        assert.equal(0x300000,
            kernel_of("path=k,kernel_load_addr=0x300000").himem_start)
    end)

    it("tells unpack=false from no unpack", function()
        assert.is_false(kernel_of("path=k,unpack=false").unpack)
        assert.is_nil(kernel_of("path=k").unpack)
    end)

    it("takes numbers in decimal and hex", function()
        for given, value in pairs { ["64"] = 64, ["064"] = 64, ["0x40"] = 64,
            ["0X4a"] = 74, ["0x000000000000000000001"] = 1,
            ["67108864"] = 67108864 } do
            local config = assert(cli.parse { "--kernel", "path=k",
                "--memory", "size_mib=" .. given }).config
            assert.equal(value, config.memory.size_mib)
            assert.equal("integer", math.type(config.memory.size_mib))
        end
    end)

    it("takes an empty value as the default", function()
        local kernel = kernel_of("path=k,cmdline=,initrd=,himem_start=,"
            .. "flow=,unpack=,slide=")
        assert.same({ path = "k", cmdline = DEFAULT_CMDLINE,
            himem_start = 0x100000, slide = 0 }, kernel)
    end)

    it("takes an empty option value as all defaults", function()
        assert.same({ size_mib = 256, shared = false, huge_pages = false },
            assert(cli.parse { "--memory=", "--kernel", "path=k" })
                .config.memory)
    end)

    it("takes each form of --console", function()
        for given, expected in pairs {
            stdio = "stdio", capture = "capture", pty = "pty",
            ["file=a,b=c"] = { file = "a,b=c" },
            ["unix=/run/x"] = { unix = "/run/x" },
        } do
            assert.same(expected, assert(cli.parse { "--kernel", "path=k",
                "--console", given }).config.console)
        end
    end)

    it("takes a place for hvc0, and ports with places", function()
        local config = assert(cli.parse { "--kernel", "path=k", "--virtio-console",
            "to=file=a,b=c,ports=agent:unix=/run/x,log,cols=132" }).config
        assert.same({
            to = { file = "a,b=c" },
            ports = { { name = "agent", to = { unix = "/run/x" } },
                { name = "log", to = "capture" } },
            cols = 132,
        }, config.virtio_console)
        assert.equal("stdio", config.console)
    end)

    it("gives the terminal to hvc0 where that wants it", function()
        assert.equal("capture", assert(cli.parse { "--kernel", "path=k",
            "--virtio-console", "to=stdio" }).config.console)
    end)
end)

describe("a value", function()
    local function cmdline_of(given)
        return kernel_of("path=k,cmdline=" .. given).cmdline
    end

    it("goes on over a comma that no known key follows", function()
        assert.equal("a,b console=ttyS0", cmdline_of "a,b console=ttyS0")
        assert.equal("console=ttyS0,115200 x=1,y=2",
            cmdline_of "console=ttyS0,115200 x=1,y=2")
    end)

    it("goes on over a known key that no comma or no = belongs to", function()
        assert.equal("path=b ,path", cmdline_of "path=b ,path")
        assert.equal("a, path=b", cmdline_of "a, path=b")
    end)

    it("ends at a comma that a known key follows", function()
        local kernel = kernel_of("cmdline=a,b,path=k,initrd=i")
        assert.equal("a,b", kernel.cmdline)
        assert.equal("k", kernel.path)
        assert.equal("i", kernel.initrd)
    end)

    it("loses the quotes around it and keeps what they protect", function()
        assert.equal("a,path=b", cmdline_of '"a,path=b"')
        assert.equal("a,path=b", cmdline_of "'a,path=b'")
        assert.equal("it's", cmdline_of '"it\'s"')
        assert.equal("k", kernel_of('path="k",cmdline="b"').path)
    end)

    it("keeps the quotes inside it and what they protect", function()
        assert.equal('dyndbg="file a,path=b +p" quiet',
            cmdline_of 'dyndbg="file a,path=b +p" quiet')
        assert.equal("don't", cmdline_of "don't")
    end)

    it("has backslashes that make commas and quotes plain", function()
        assert.equal("a,path=b", cmdline_of "a\\,path=b")
        assert.equal('a "b', cmdline_of 'a \\"b')
        assert.equal('"a', cmdline_of '\\"a')
        assert.equal('say "hi", a', cmdline_of '"say \\"hi\\", a"')
        assert.equal("a\\", cmdline_of "a\\\\")
    end)

    it("keeps a backslash before anything else", function()
        assert.equal("a\\b\\", cmdline_of "a\\b\\")
    end)

    it("may be a path with a comma and an equals sign", function()
        assert.equal("/disk/a,v2=b", kernel_of("path=/disk/a,v2=b").path)
    end)
end)

describe("words after the options", function()
    it("are a script and its own words, options included", function()
        local parsed = assert(cli.parse { "--vcpu", "num=2", "boot.lua",
            "--kernel", "x", "-i" })
        assert.equal("script", parsed.action)
        assert.equal("boot.lua", parsed.script)
        assert.same({ "--kernel", "x", "-i" }, parsed.args)
        assert.equal(2, parsed.config.vcpus.num)
        assert.is_nil(parsed.given.i)
    end)

    it("may be - for a script on standard input", function()
        local parsed = assert(cli.parse { "-", "a" })
        assert.equal("-", parsed.script)
        assert.same({ "a" }, parsed.args)
    end)

    it("may follow --", function()
        assert.equal("--odd.lua", assert(cli.parse { "--", "--odd.lua" })
            .script)
    end)

    it("run the lab when the first is lab", function()
        local parsed = assert(cli.parse { "lab", "--kernel", "path=k" })
        assert.equal("command", parsed.action)
        assert.equal("vmm.lab", parsed.module)
        assert.same({ "--kernel", "path=k" }, parsed.args)
    end)

    it("run specs when the first is test", function()
        local parsed = assert(cli.parse { "test", "-j", "2", "a_spec.lua" })
        assert.equal("command", parsed.action)
        assert.equal("vmm.test", parsed.module)
        assert.same({ "-j", "2", "a_spec.lua" }, parsed.args)
    end)

    it("are a script named lab when written ./lab", function()
        assert.equal("./lab", assert(cli.parse { "./lab" }).script)
    end)
end)

describe("the options for scripts", function()
    it("collect -e in order", function()
        local parsed = assert(cli.parse { "-e", "a = 1", "-e", "--b", "-i" })
        assert.equal("script", parsed.action)
        assert.same({ "a = 1", "--b" }, parsed.given.e)
        assert.is_true(parsed.given.i)
    end)

    it("leave the console to the script", function()
        assert.equal("capture",
            assert(cli.parse { "x.lua" }).config.console)
    end)

    it("give a script a configuration without a kernel", function()
        assert.is_nil(assert(cli.parse { "x.lua" }).config.kernel)
    end)
end)

describe("--help, --version, --man and --completion", function()
    it("win over what follows them", function()
        for _, name in ipairs { "help", "version", "man" } do
            assert.equal(name,
                assert(cli.parse { "--" .. name, "--nonsense" }).action)
        end
        assert.equal("help", assert(cli.parse { "-h" }).action)
        local parsed = assert(cli.parse { "--completion", "bash", "--x" })
        assert.equal("completion", parsed.action)
        assert.equal("bash", parsed.given.completion)
    end)

    it("do not hide a mistake before them", function()
        assert.is_nil(cli.parse { "--nonsense", "--help" })
    end)
end)
