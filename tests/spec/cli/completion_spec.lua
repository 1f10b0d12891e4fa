-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The completion script at work in an interactive bash.

local completion = require "vmm.cli.completion"

local TAB = "\t"

local directory

--- Type a line into bash, where `printf` shows what it has become.
-- @return the words that the command was given
local function typed(line)
    local file <close> = assert(io.open(directory .. "/session", "w"))
    file:write("source ", directory, "/completion\n", "cd ", directory,
        "/files\n", "vmm-reference() { printf '[%s]\\n' \"$@\"; }\n",
        "vmm-reference ", line, "\nexit\n")
    file:close()
    local bash <close> = assert(io.popen(("INPUTRC=/dev/null TERM=dumb HISTFILE="
        .. " timeout 10 bash --noprofile --norc -i <%s/session 2>/dev/null")
        :format(directory)))
    local words = {}
    for word in bash:read("a"):gmatch "%[([^\n]*)%]\n" do
        words[#words + 1] = word
    end
    return words
end

--- All that bash would offer for a line, sorted.
local function offered(line)
    local file <close> = assert(io.open(directory .. "/offer", "w"))
    file:write("source ", directory, "/completion\ncd ", directory, "/files\n",
        'COMP_WORDS=(vmm-reference ', line, ")\n",
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_vmm_reference\n",
        'printf "%s\\n" "${COMPREPLY[@]}" | LC_ALL=C sort\n')
    file:close()
    local bash <close> = assert(io.popen("bash " .. directory .. "/offer"))
    return (bash:read("a"):gsub("\n", " "):gsub(" $", ""))
end

describe("completion in bash", function()
    setup(function()
        directory = os.tmpname()
        os.remove(directory)
        assert(os.execute(("mkdir -p %s/files/boot"):format(directory)))
        assert(os.execute(("touch %s/files/vmlinuz %s/files/initrd.img"
            .. " '%s/files/run me.lua'"):format(directory, directory,
            directory)))
        local file <close> = assert(io.open(directory .. "/completion", "w"))
        file:write(completion.bash())
    end)

    teardown(function()
        os.execute("rm -r " .. directory)
    end)

    -- Each: what is typed, the words that the program gets.
    local SESSIONS = {
        { "--ker" .. TAB .. "p" .. TAB .. "vm" .. TAB,
            { "--kernel", "path=vmlinuz" } },
        { "--kernel path=vm" .. TAB .. "\b,in" .. TAB .. "ini" .. TAB,
            { "--kernel", "path=vmlinuz,initrd=initrd.img" } },
        { "--kernel=pa" .. TAB .. "vm" .. TAB .. "\b,fl" .. TAB .. "p" .. TAB,
            { "--kernel=path=vmlinuz,flow=pvh" } },
        { "--kernel kernel_load_addr=1,u" .. TAB .. "t" .. TAB,
            { "--kernel", "kernel_load_addr=1,unpack=true" } },
        { "--kernel path=k,cmdline='a b',ini" .. TAB .. "ini" .. TAB,
            { "--kernel", "path=k,cmdline=a b,initrd=initrd.img" } },
        { "--mem" .. TAB .. "si" .. TAB .. "64,sh" .. TAB .. "f" .. TAB,
            { "--memory", "size_mib=64,shared=false" } },
        { "--vcpu n" .. TAB .. "2", { "--vcpu", "num=2" } },
        { "--console f" .. TAB .. "ini" .. TAB,
            { "--console", "file=initrd.img" } },
        { "--console st" .. TAB, { "--console", "stdio" } },
        { "--comp" .. TAB .. "b" .. TAB, { "--completion", "bash" } },
        { "--vcpu num=2 ru" .. TAB .. "--ker" .. TAB,
            { "--vcpu", "num=2", "run me.lua", "--ker" } },
        { "x.lua in" .. TAB, { "x.lua", "initrd.img" } },
        { "report --ht" .. TAB .. "x --ju" .. TAB .. "y ini" .. TAB,
            { "report", "--html", "x", "--junit", "y", "initrd.img" } },
    }
    for _, session in ipairs(SESSIONS) do
        local line, words = session[1], session[2]
        it("completes " .. line:gsub(TAB, "<Tab>"):gsub("\b", "<Bs>"),
            function()
                assert.same(words, typed(line))
            end)
    end

    it("offers every option", function()
        assert.equal("--balloon --blk --block --check --completion --console --gdb --help --kernel"
            .. " --man --memory --metrics --name --net --rng --serial2 --share --timeout --trace"
            .. " --transport --vcpu --vcpus --version --virtio-console --virtio_console --vsock"
            .. " -e -h -i",
            offered "-")
    end)

    it("offers the parameters of an option", function()
        assert.equal("huge_pages= shared= size_mib=", offered "--memory ''")
        assert.equal("1,shared=", offered "--memory size_mib = 1,sha")
    end)

    it("offers the options of test", function()
        assert.equal("--shard", offered "test --sh")
        assert.equal("--tags --test-timeout --timeout", offered "test -j 2 --t")
    end)

    it("offers the values of a choice", function()
        assert.equal("flat linux64 pvh", offered "--kernel flow =")
        assert.equal("false true", offered "--memory shared =")
    end)

    it("offers nothing for a number", function()
        assert.equal("", offered "--vcpus num =")
    end)
end)
