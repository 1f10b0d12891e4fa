-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The host side of the lab with a shell script in QEMU's place, that plays what can happen.

local host = require "vmm.lab.host"
local process = require "vmm.process"

-- It finds its directory as QEMU does, and opens the status port as QEMU would.
local FAKE = [[
#!/bin/sh
for word; do
    case $word in
    *path=*/status,*) dir=${word#*path=}; dir=${dir%%/status,*} ;;
    esac
done
exec 8>"$dir/status" 7<>"$dir/control"
port() { printf '%s\n' "$1" >&8; }
heard() { while read -r verb name <&7; do [ "$verb" = beat ] || break; done; }
]]

describe("the host side of the lab", function()
    local scratch

    before_each(function()
        scratch = assert(process.temporary_directory("host-spec"))
        assert(process.make_directory(scratch .. "/ports"))
    end)
    after_each(function()
        process.remove(scratch)
    end)

    local function read(name)
        local file = io.open(scratch .. "/" .. name, "rb")
        local text = file and file:read("a")
        if file then
            file:close()
        end
        return text
    end

    -- The command that runs a lab whose QEMU is FAKE and then does what scenario says.
    local function command(scenario, options)
        local file <close> = assert(io.open(scratch .. "/qemu", "w"))
        file:write(FAKE, scenario, "\n")
        assert(process.capture { "chmod", "+x", scratch .. "/qemu" })
        local settings = {
            qemu = scratch .. "/qemu", kernel = "k", initrd = "i", memory_mib = 1, cpus = 1,
            scratch = scratch .. "/ports", boot_limit = 30, run_limit = 30,
        }
        for key, value in pairs(options or {}) do
            settings[key] = value
        end
        return process.command(host.command(settings))
    end

    -- Run shell text in which "lab" is such a command, with output in the files out and err.
    -- Returns its exit code.
    local function run(scenario, options, shell)
        local text = "exec 2>/dev/null; cd " .. process.quote(scratch) .. "\nlab() { exec "
            .. command(scenario, options) .. "; }\n" .. (shell or "lab </dev/null >out 2>err")
        return process.run { "timeout", "-k", "5", "60", "sh", "-c", text }
    end

    it("hands on output, errors and the exit code", function()
        assert.equal(7, run [[
            port ready
            echo text >"$dir/stdout"
            echo trouble >"$dir/stderr"
            port "exit 7"
            exec sleep 30]])
        assert.equal("text\n", read "out")
        assert.equal("trouble\n", read "err")
    end)

    it("sends something now and then, which wakes a CPU that QEMU lets sleep", function()
        assert.equal(3, run [[
            port ready
            read -r verb <&7 && [ "$verb" = beat ] && port "exit 3"
            exec sleep 30]])
    end)

    it("hands on every byte of a large stdin and stdout", function()
        assert(process.capture { "sh", "-c", "head -c 1000000 /dev/urandom >\"$1\"", "sh",
            scratch .. "/in" })
        assert.equal(0, run([[
            port ready
            cat >"$dir/stdout"
            port "exit 0"]], nil, "lab <in >out 2>err"))
        assert.equal("", read "err")
        assert.equal("", process.capture { "cmp", scratch .. "/in", scratch .. "/out" })
    end)

    it("brings /out back", function()
        assert(process.make_directory(scratch .. "/back"))
        assert.equal(3, run([[
            port ready
            mkdir "$dir/made"
            echo report >"$dir/made/file"
            tar -cf - -C "$dir/made" . >"$dir/out"
            port "exit 3"]], { out_directory = scratch .. "/back" }))
        assert.equal("report\n", read "back/file")
    end)

    it("says that what came from /out is no archive", function()
        assert(process.make_directory(scratch .. "/back"))
        local out = scratch .. "/back"
        assert.equal(125, run([[
            port ready
            echo rubbish >"$dir/out"
            port "exit 0"
            exec sleep 30]], { out_directory = out }))
        assert.equal("vmm-reference: lab: what came from /out cannot be unpacked in " .. out
            .. "\n", read "err")
    end)

    it("says only that time is up when nothing came from /out yet", function()
        assert(process.make_directory(scratch .. "/back"))
        assert.equal(124, run("port ready; exec sleep 30",
            { out_directory = scratch .. "/back", run_limit = 1 }))
        assert.equal("vmm-reference: lab: time-out after 1 s\n", read "err")
    end)

    it("leaves nothing behind", function()
        assert.equal(0, run 'port ready; port "exit 0"; exec sleep 30')
        assert.is_nil(process.stat1(scratch .. "/ports"))
        assert.is_nil(process.line { "pgrep", "-f", scratch .. "/[p]orts" })
    end)

    it("says that QEMU could not start, and why", function()
        assert.equal(125, run "echo no such machine >&2; exit 1")
        assert.equal("vmm-reference: lab: QEMU ended (status 1) before the program did\n"
            .. "vmm-reference: lab: what QEMU said:\nno such machine\n", read "err")
    end)

    it("says that QEMU cannot be run at all", function()
        assert.equal(125, run("", { qemu = "/nonexistent/qemu" }))
        assert.match("QEMU ended %(status 127%) before the program did", read "err")
    end)

    it("shows the end of the kernel log when the lab does not come up", function()
        assert.equal(125, run([[
            i=0; while [ $i -lt 30 ]; do i=$((i + 1)); printf 'line %d\r\n' $i; done \
                >"$dir/kernel.log"
            exec sleep 30]], { boot_limit = 1 }))
        local err = read "err"
        assert.equal("vmm-reference: lab: not up after 1 s\n"
            .. "vmm-reference: lab: the last lines of its kernel log:\nline 11\nline 12\n",
            err:sub(1, #err - #err:match("line 13\n.*$")))
        assert.equal("line 30\n", err:sub(-8))
    end)

    it("hands on what the lab's /init says is wrong", function()
        assert.equal(125, run 'port "fail no /dev/kvm"; exec sleep 30')
        assert.equal("vmm-reference: lab: no /dev/kvm\n", read "err")
    end)

    it("ends a program that takes too long with 124", function()
        assert.equal(124, run([[
            port ready
            echo begun >"$dir/stdout"
            exec sleep 30]], { run_limit = 1 }))
        assert.equal("begun\n", read "out")
        assert.equal("vmm-reference: lab: time-out after 1 s\n", read "err")
    end)

    it("does not take a slow start for a slow program", function()
        assert.equal(0, run('sleep 1.2; port ready; port "exit 0"', { run_limit = 1 }))
    end)

    it("ends with 141 when nobody reads the output any more", function()
        assert.equal(0, run([[
            port ready
            trap '' PIPE
            while :; do echo more; done >"$dir/stdout" 2>/dev/null
            exec sleep 30]], nil, "{ (lab); echo $? >code; } </dev/null 2>err | head -n 1 >out"))
        assert.equal("more\n", read "out")
        assert.equal("141\n", read "code")
    end)

    -- Starts a lab in the background, waits until it runs, then does what signals says.
    local SIGNALLED = [[
        lab </dev/null >out 2>err &
        runner=$!
        until [ -s out ]; do sleep 0.02; done
        %s
        wait $runner]]
    local TERM = "kill -TERM $runner"

    it("gives the program the first signal and waits for its exit code", function()
        assert.equal(43, run([[
            port ready
            echo started >"$dir/stdout"
            heard
            [ "$verb $name" = "signal TERM" ] && port "exit 43"
            exec sleep 30]], nil, SIGNALLED:format(TERM)))
    end)

    it("ends at the second signal", function()
        assert.equal(143, run([[
            port ready
            exec 9>"$dir/stdout"
            echo started >&9
            heard
            echo again >&9
            exec sleep 30]], nil,
            SIGNALLED:format(TERM .. "; until grep -q again out; do sleep 0.02; done; " .. TERM)))
    end)

    it("ends at the first signal before the program runs", function()
        assert.equal(143, run([[
            echo booting >"$dir/stdout"
            exec sleep 30]], nil, SIGNALLED:format(TERM)))
    end)

    it("takes QEMU along when it is killed itself", function()
        assert.equal(137, run([[
            port ready
            echo started >"$dir/stdout"
            exec sleep 30]], nil, SIGNALLED:format(TERM:gsub("TERM", "KILL"))))
        -- Nor does a helper stay: all have the directory's name in their command line.
        local gone = process.run { "timeout", "10", "sh", "-c",
            "while pgrep -f \"$1/[p]orts\" >/dev/null; do sleep 0.02; done", "sh", scratch }
        assert.equal(0, gone, process.capture { "pgrep", "-af", scratch .. "/[p]orts" })
    end)

    it("gives QEMU disks to write and disks to read, commas in their names doubled", function()
        local words = "\n" .. table.concat(host.qemu {
            qemu = "qemu", kernel = "k", initrd = "i", memory_mib = 1, cpus = 1, scratch = "s",
            disks = { { path = "a,b" }, { path = "c", readonly = true } },
        }, "\n") .. "\n"
        assert.is_truthy(words:find("\nif=none,id=disk1,format=raw,readonly=off,file=a,,b\n", 1,
            true), words)
        assert.is_truthy(words:find("\nif=none,id=disk2,format=raw,readonly=on,file=c\n", 1,
            true), words)
    end)
end)
