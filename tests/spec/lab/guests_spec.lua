-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Fetching kernels: what is asked of Debian's tools, and what is not.

local process = require "vmm.process"

describe("guests", function()
    local scratch

    before_each(function()
        scratch = assert(process.temporary_directory("guests-spec"))
    end)
    after_each(function()
        process.remove(scratch)
    end)

    local function tool(name, text)
        local path = scratch .. "/bin/" .. name
        assert(process.make_directory(scratch .. "/bin"))
        local file <close> = assert(io.open(path, "w"))
        file:write("#!/bin/sh\n", text, "\n")
        assert(process.capture { "chmod", "+x", path })
    end

    -- Run Lua code that has guests, with the tools above before the host's.
    -- Returns its stdout and stderr together, and its exit code.
    local function run(code)
        local argv = {
            "env", "VMM_CACHE=" .. scratch .. "/cache",
            "PATH=" .. scratch .. "/bin:" .. os.getenv("PATH"), "LUA_PATH=./lua/?.lua;;",
            process.executable(), "-e", "local guests = require 'vmm.guests' " .. code,
        }
        local output, partial, status = process.capture(argv, { stderr = "merge" })
        return output or partial, status or 0
    end

    local FETCH = "os.exit(guests.main { 'cloud-amd64' })"

    -- Tools of a Debian that has kernel 9.9.9-1, in a package made here.
    local function debian()
        tool("apt-cache", [[
            echo "$1" >>"$0.log"
            case $1 in
            depends) echo "  Depends: linux-image-9.9.9-1-cloud-amd64" ;;
            policy) echo "  Candidate: 1:9.9.9-1" ;;
            esac]])
        tool("apt-get", [[
            echo "$*" >>"$0.log"
            mkdir -p deb/DEBIAN deb/boot deb/lib/modules/9.9.9-1-cloud-amd64/kernel
            echo kernel >deb/boot/vmlinuz-9.9.9-1-cloud-amd64
            printf 'Package: p\nVersion: 1\nArchitecture: amd64\nMaintainer: n\nDescription: d\n' \
                >deb/DEBIAN/control
            dpkg-deb --root-owner-group -b deb p_9.9.9_amd64.deb >/dev/null]])
    end

    local IMAGE = "/cache/linux-image-9.9.9-1-cloud-amd64_1%3a9.9.9-1/boot/"
        .. "vmlinuz-9.9.9-1-cloud-amd64\n"

    it("follow the metapackage and unpack the kernel into the cache", function()
        debian()
        local output, code = run(FETCH)
        assert.equal("vmm-reference: downloading linux-image-9.9.9-1-cloud-amd64 1:9.9.9-1\n"
            .. scratch .. IMAGE, output)
        assert.equal(0, code)
        assert.is_table(process.stat1(scratch .. IMAGE:sub(1, -2)))
        assert.is_table(process.stat1(scratch .. IMAGE:match("^(.*)/boot/")
            .. "/lib/modules/9.9.9-1-cloud-amd64/modules.dep"))
    end)

    it("ask nobody the second time", function()
        debian()
        run(FETCH)
        tool("apt-cache", "exit 1")
        tool("apt-get", "exit 1")
        local output, code = run(FETCH)
        assert.equal(scratch .. IMAGE, output)
        assert.equal(0, code)
    end)

    it("unpack a package that is in the cache without a download", function()
        debian()
        run(FETCH)
        assert(process.capture { "sh", "-c", "cd \"$1\" && rm -r kernel-* */", "sh",
            scratch .. "/cache" })
        tool("apt-get", "exit 1")
        local output, code = run(FETCH)
        assert.equal(scratch .. IMAGE, output)
        assert.equal(0, code)
    end)

    it("fetch the package lists when there are none", function()
        tool("apt-cache", "exit 0")
        tool("apt-get", 'echo "$*" >>"$0.log"')
        local output, code = run(FETCH)
        assert.equal("vmm-reference: fetching Debian's package lists\nvmm-reference: guests: "
            .. "Debian's package linux-image-cloud-amd64 is not known here: "
            .. "it is in no package list\n", output)
        assert.equal(1, code)
        assert.equal("-q update\n", process.capture { "cat", scratch .. "/bin/apt-get.log" })
    end)

    it("say in one line why the lists cannot be fetched", function()
        tool("apt-cache", "exit 0")
        tool("apt-get", "echo 'E: Could not open lock file /var/lib/apt/lists/lock'; exit 100")
        assert.equal("vmm-reference: fetching Debian's package lists\nvmm-reference: guests: "
            .. "Debian's package linux-image-cloud-amd64 is not known here: apt-get update failed "
            .. "(Could not open lock file /var/lib/apt/lists/lock)\n", (run(FETCH)))
    end)

    it("say in one line why the download failed, and leave nothing half done", function()
        debian()
        tool("apt-get", "echo 'E: Failed to fetch linux-image'; exit 100")
        assert.equal("vmm-reference: downloading linux-image-9.9.9-1-cloud-amd64 1:9.9.9-1\n"
            .. "vmm-reference: guests: cannot download linux-image-9.9.9-1-cloud-amd64: "
            .. "Failed to fetch linux-image\n", (run(FETCH)))
        assert.equal("", process.capture { "ls", "-A", scratch .. "/cache" })
    end)

    it("say in one line that a package is damaged", function()
        debian()
        tool("apt-get", "echo rubbish >p_amd64.deb")
        local output, code = run(FETCH)
        assert.match("\nvmm%-reference: guests: cannot unpack [^\n]*%.deb: [^\n]+\n$", output)
        assert.equal(1, code)
    end)

    it("say that the cache cannot be made", function()
        assert(io.open(scratch .. "/cache", "w")):close()
        assert.equal("vmm-reference: guests: mkdir: cannot create directory '" .. scratch
            .. "/cache': File exists\n", (run(FETCH)))
    end)

    it("refuse a kernel they do not know", function()
        local output, code = run("os.exit(guests.main { 'riscv64' })")
        assert.equal("vmm-reference: guests: unknown kernel riscv64 "
            .. "(known: amd64, cloud-amd64)\n", output)
        assert.equal(2, code)
    end)

    it("compose equal initramfs images once and different ones apart", function()
        local output = run([[
            local a, b = guests.initramfs {}, guests.initramfs {}
            local c = guests.initramfs { hello = 'other' }
            print(a == b, a == c, a:match('^(.*)/initramfs%-%x+%.cpio$'))]])
        assert.equal("true\tfalse\t" .. scratch .. "/cache\n", output)
    end)
end)
