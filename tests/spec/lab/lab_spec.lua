-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The lab itself, started for real: a program in it sees SVM, its files, and its caller.

local process = require "vmm.process"

-- Seconds a lab may take here; the machine may be busy.
local LIMIT = 240

describe("a lab", function()
    local scratch, outcome

    local function write(name, text)
        local file <close> = assert(io.open(scratch .. "/" .. name, "w"))
        file:write(text)
    end

    local function read(name)
        local file = io.open(scratch .. "/" .. name, "rb")
        local text = file and file:read("a")
        if file then
            file:close()
        end
        return text
    end

    -- Run shell text in the scratch directory where "lab" stands for a lab with those words:
    -- its options and arguments. Returns its exit code.
    local function run(words, text)
        local list = {}
        for index, word in ipairs(words) do
            list[index] = ("%q"):format(word)
        end
        write("main.lua", ("os.exit(require('vmm.lab').main { %s })\n")
            :format(table.concat(list, ", ")))
        local lua_path = process.current_directory() .. "/lua/?.lua;;"
        write("lab", ("#!/bin/sh\nexec env LUA_PATH=%s VMM_MARK='a  b' %s main.lua\n")
            :format(process.quote(lua_path), process.quote(process.executable())))
        return process.run { "timeout", "-k", "10", tostring(LIMIT), "sh", "-c",
            'cd "$1"; lab() { sh ./lab; }; ' .. text, "sh", scratch }
    end

    -- One start serves the tests below.
    local INSIDE = [[
        echo "directory $PWD"
        echo "mark $VMM_MARK"
        echo "scale $VMM_TIMEOUT_SCALE"
        echo "words $#:$1:$2"
        echo "note $(cat "${2#path=}")"
        [ -c /dev/kvm ] && echo "kvm yes"
        grep -o -m 1 -w svm /proc/cpuinfo
        echo "nested $(cat /sys/module/kvm_amd/parameters/npt)"
        echo "cpus $(grep -c ^processor /proc/cpuinfo)"
        echo "input $(md5sum)"
        head -c 300000 /dev/zero | tr '\0' '\377' >&2
        mkdir /out/deep
        echo report >/out/deep/report
        exit 37
    ]]

    setup(function()
        scratch = assert(process.temporary_directory("lab-spec"))
        write("note", "carried in\n")
        write("inside", INSIDE)
        assert(process.capture { "sh", "-c", "head -c 300000 /dev/urandom >\"$1\"", "sh",
            scratch .. "/in" })
        outcome = run({
            "--memory", "size_mib=1024", "--cpus", "2", "--out", "back", "--program", "sh", "--",
            "inside", "two words", "path=note",
        }, "lab <in >out 2>err")
    end)
    teardown(function()
        process.remove(scratch)
    end)

    it("hands the exit code out", function()
        assert(outcome == 37, ("exit code %d; stderr begins: %s")
            :format(outcome, read("err"):sub(1, 2000)))
    end)

    it("has SVM with nested paging behind /dev/kvm, and the CPUs asked for", function()
        assert.match("\nkvm yes\nsvm\nnested [1Y]\ncpus 2\n", read "out")
    end)

    it("runs in the caller's directory with its words, files and VMM_ variables", function()
        assert.equal("directory " .. scratch .. "\nmark a  b\nscale 10\n"
            .. "words 2:two words:path=note\nnote carried in\n", read("out"):match("^(.-\n)kvm"))
    end)

    it("forwards stdin to its end", function()
        local sum = process.line { "md5sum", scratch .. "/in" }:match("^%x+")
        assert.equal("input " .. sum .. "  -", read("out"):match("input [^\n]+"))
    end)

    it("keeps stderr apart, every byte of it", function()
        assert.equal(("\xff"):rep(300000), read "err")
    end)

    it("brings /out back", function()
        assert.equal("report\n", read "back/deep/report")
    end)

    it("gives the program the user's terminal: its size, and Ctrl-C as a signal", function()
        assert.equal(9, run({
            "--program", "sh", "--", "-c",
            'trap "echo caught; exit 9" INT; stty size; echo up; while :; do sleep 1; done',
        }, [=[
            mkfifo keys
            script -qefc "stty rows 33 cols 101; sh ./lab" /dev/null <keys >typed 2>&1 &
            exec 9>keys
            until grep -q up typed; do
                kill -0 $! || exit
                sleep 0.1
            done
            printf '\003' >&9
            wait $!]=]))
        assert.equal("33 101\nup\n^Ccaught\n", (read("typed"):gsub("\r", "")))
    end)
end)
