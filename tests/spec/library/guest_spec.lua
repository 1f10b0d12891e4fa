-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Guests by recipe: which kernel is meant, what its initramfs holds, what is made only once, and
-- what is said of mistakes.

local core = require "vmm.core"
local process = require "vmm.process"

local scratch

before_each(function() scratch = assert(process.temporary_directory "guest-spec") end)
after_each(function() process.remove(scratch) end)

local function write(name, bytes)
    local path = scratch .. "/" .. name
    assert(process.make_directory(path:match "^(.*)/"))
    local file <close> = assert(io.open(path, "wb"))
    assert(file:write(bytes))
    return path
end

-- What Linux's boot protocol says of an image, as far as it is looked at: "HdrS" at 0x202, and
-- where, from 0x200 on, the text of the version is.
local function bzimage(release)
    local head = ("\0"):rep(0x202) .. "HdrS" .. ("\0"):rep(8) .. ("<I2"):pack(0x200)
    return head .. ("\0"):rep(0x400 - #head) .. release .. " (somebody@somewhere) #1\0"
end

local function module(depends)
    return "\x7fELF....\0license=GPL\0depends=" .. depends .. "\0name=x\0"
end

-- A build tree, built: an image, and three modules of which one needs another.
local function build_tree(name)
    write(name .. "/arch/x86/boot/bzImage", bzimage "6.6.6-mine")
    write(name .. "/vmlinux", "\x7fELF")
    write(name .. "/modules.order",
        "kernel/fs/fuse/fuse.ko\nfs/fuse/virtiofs.o\ndrivers/char/virtio_console.ko\n")
    write(name .. "/modules.builtin",
        "kernel/drivers/virtio/virtio_pci.ko\nkernel/drivers/virtio/virtio_mmio.ko\n")
    write(name .. "/fs/fuse/fuse.ko", module "")
    write(name .. "/fs/fuse/virtiofs.ko", module "fuse")
    write(name .. "/drivers/char/virtio_console.ko", module "")
    return scratch .. "/" .. name
end

-- Runs Lua code that has vmm.guest with a cache of its own; what it prints.
local function run(code, ...)
    local words = { "env", "VMM_CACHE=" .. scratch .. "/cache", "HOME=" .. scratch }
    for _, word in ipairs { ... } do words[#words + 1] = word end
    table.move({ process.executable(), "-e", "local guest = require 'vmm.guest' " .. code }, 1, 3,
        #words + 1, words)
    local output, partial = process.capture(words, { stderr = "merge" })
    return (output or partial):gsub("\n$", "")
end

-- What a recipe, as Lua text, is prepared to; or its message.
local function prepare(recipe, field, ...)
    return run(("local made, why = guest(%s):try_prepare() print(made and made.%s or why)")
        :format(recipe, field or "initrd"), ...)
end

local function names_in(image)
    local list = {}
    for name in assert(process.capture { "sh", "-c", 'cpio --quiet -t <"$1"', "sh", image })
            :gmatch "[^\n]+" do
        list[name] = true
    end
    return list
end

local function text_in(image, name)
    return process.capture { "sh", "-c", 'cpio --quiet -i --to-stdout "$2" <"$1"', "sh", image,
        name }
end

describe("a kernel of one's own", function()
    it("is found in the tree it was built in, with symbols", function()
        local tree = build_tree "linux"
        local image = tree .. "/arch/x86/boot/bzImage"
        for _, given in ipairs { tree, tree .. "/", image, "~/linux" } do
            local recipe = ("{ kernel = %q }"):format(given)
            assert.equal(image, prepare(recipe, "kernel"))
            assert.equal(tree .. "/vmlinux", prepare(recipe, "symbols"))
        end
    end)

    it("brings the drivers that its build has as modules, without modules_install", function()
        build_tree "linux"
        local image = prepare [[{ kernel = "~/linux" }]]
        assert.equal("fuse /lib/modules/fuse.ko\nvirtiofs /lib/modules/virtiofs.ko\n",
            text_in(image, "etc/vmm/modules/virtiofs"))
        local names = names_in(image)
        assert.is_true(names["lib/modules/fuse.ko"] or names["usr/lib/modules/fuse.ko"])
        assert.is_nil(names["etc/vmm/modules/virtio_pci"])
        assert.equal("true", prepare([[{ kernel = "~/linux" }]], "virtio_console"))
    end)

    it("has the modules beside it that make install and modules_install left", function()
        write("boot/vmlinuz-5.5.5", bzimage "5.5.5")
        write("lib/modules/5.5.5/modules.dep", "kernel/drivers/block/virtio_blk.ko:\n")
        write("lib/modules/5.5.5/kernel/drivers/block/virtio_blk.ko", module "")
        local image = prepare [[{ kernel = "~/boot/vmlinuz-5.5.5" }]]
        assert.equal("virtio_blk /lib/modules/virtio_blk.ko\n",
            text_in(image, "etc/vmm/modules/virtio_blk"))
    end)

    it("may be a lone file, of whose modules nothing is known", function()
        local path = write("bzImage", bzimage "4.4.4")
        local recipe = ("{ kernel = %q }"):format(path)
        assert.equal(path, prepare(recipe, "kernel"))
        assert.equal("false", run(("print(guest(%s):prepare().virtio_console)"):format(recipe)))
        assert.equal(("guest %s: no modules are known of %s: name its build tree, or have "
            .. "lib/modules/4.4.4 beside it"):format(path, path),
            prepare(("{ kernel = %q, modules = { 'loop' } }"):format(path)))
    end)

    it("is what the test run says, where a guest has no other", function()
        local path = write("bzImage", bzimage "4.4.4")
        assert.equal(path, run("print(guest.default():prepare().kernel)", "VMM_TEST_KERNEL="
            .. path))
        assert.equal(path, prepare("{ root = 'host' }", "kernel", "VMM_TEST_KERNEL=" .. path))
    end)
end)

describe("a kernel that cannot be had is told in one line:", function()
    local function refused(given, message)
        assert.equal(("guest %s: %s"):format(given, message),
            prepare(("{ kernel = %q }"):format(given)))
    end

    it("a name that nobody knows", function()
        refused("debain", 'no such kernel: "debain", did you mean "debian"? known: debian, '
            .. "debian-cloud, a package linux-image-..., or the path of a kernel or of its build "
            .. "tree")
    end)

    it("a path with nothing there", function()
        refused("/nonexistent/bzImage",
            "/nonexistent/bzImage: no such kernel, nor a directory that has one")
    end)

    it("a directory without a kernel", function()
        refused(scratch, scratch .. ": no kernel in this directory (looked for "
            .. "arch/x86/boot/bzImage and vmlinux): is it a build tree, and built?")
    end)

    it("a file that is no kernel", function()
        local path = write("notes", "remember the milk")
        refused(path, path .. ": not a kernel (neither a bzImage nor an ELF vmlinux)")
    end)

    it("a module that it has not, with the one meant", function()
        local tree = build_tree "linux"
        assert.equal(('guest %s: no kernel module virtiofz in %s, did you mean "virtiofs"?')
            :format(tree, tree),
            prepare(("{ kernel = %q, modules = { 'virtiofz' } }"):format(tree)))
    end)
end)

describe("a package of Debian's", function()
    -- Tools of a Debian that has kernels 9.9.9-1 and 9.9.9-2.
    local function debian()
        write("bin/apt-cache", [[
#!/bin/sh
echo "apt-cache $*" >>"${0%/*}/log"
case $1 in
policy) case $2 in linux-image-9.9.9-cloud-amd64) echo "  Candidate: 9.9.9-2" ;; esac ;;
pkgnames) echo linux-image-9.9.9-cloud-amd64 ;;
esac
]])
        write("bin/apt-get", [[
#!/bin/sh
echo "apt-get $*" >>"${0%/*}/log"
case $* in *update*) exit 0 ;; *=9.9.9-[12]) ;;
*) echo "E: Version '3' for 'linux-image' was not found"; exit 100 ;; esac
release=9.9.9-cloud-amd64
mkdir -p deb/DEBIAN deb/boot deb/lib/modules/$release/kernel
echo kernel >deb/boot/vmlinuz-$release
echo module >deb/lib/modules/$release/kernel/loop.ko
printf 'Package: p\nVersion: 1\nArchitecture: amd64\nMaintainer: n\nDescription: d\n' \
    >deb/DEBIAN/control
dpkg-deb --root-owner-group -b deb p_amd64.deb >/dev/null
]])
        -- As depmod would write it, had the module been one.
        write("bin/busybox", [[
#!/bin/sh
case $1 in
depmod) echo "kernel/loop.ko:" >"$3/lib/modules/$4/modules.dep" ;;
*) exec /bin/busybox "$@" ;;
esac
]])
        assert(process.capture { "sh", "-c", 'chmod +x "$1"/bin/*', "sh", scratch })
        return "PATH=" .. scratch .. "/bin:" .. os.getenv "PATH"
    end

    it("is fetched by its name, or by name and version, each once", function()
        local path = debian()
        local image = scratch .. "/cache/linux-image-9.9.9-cloud-amd64_%s/boot/"
            .. "vmlinuz-9.9.9-cloud-amd64"
        local package = "linux-image-9.9.9-cloud-amd64"
        for _, version in ipairs { "9.9.9-2", "9.9.9-1" } do
            local given = ("{ kernel = %q }"):format(package
                .. (version == "9.9.9-1" and "=9.9.9-1" or ""))
            assert.equal(("vmm-reference: downloading %s %s\n%s"):format(package, version,
                image:format(version)), prepare(given, "kernel", path))
            assert.equal(image:format(version), prepare(given, "kernel", path))
        end
    end)

    it("that is in no list is told with the one meant", function()
        assert.equal("vmm-reference: fetching Debian's package lists\n"
            .. "guest linux-image-9.9.8-cloud-amd64: Debian's package "
            .. "linux-image-9.9.8-cloud-amd64 is not known here: it is in no package list; "
            .. 'did you mean "linux-image-9.9.9-cloud-amd64"?',
            prepare([["linux-image-9.9.8-cloud-amd64"]], "kernel", debian()))
    end)

    it("in a version that there is not is told in one line", function()
        assert.equal("vmm-reference: downloading linux-image-9.9.9-cloud-amd64 3\n"
            .. "guest linux-image-9.9.9-cloud-amd64=3: cannot download "
            .. "linux-image-9.9.9-cloud-amd64: Version '3' for 'linux-image' was not found",
            prepare([["linux-image-9.9.9-cloud-amd64=3"]], "kernel", debian()))
    end)
end)

describe("an initramfs", function()
    local KERNEL = "kernel = '~/bzImage'"

    before_each(function() write("bzImage", bzimage "4.4.4") end)

    it("has the recipe's files, with their modes, and its script", function()
        write("tool", "#!/bin/sh\n")
        local image = prepare(([[{ %s, run = "echo started",
            files = { ["/etc/mine"] = "text", ["/opt/tool"] = { host = %q, mode = %d } } }]])
            :format(KERNEL, scratch .. "/tool", tonumber("700", 8)))
        assert.equal("text", text_in(image, "etc/mine"))
        assert.equal("#!/bin/sh\n", text_in(image, "opt/tool"))
        assert.equal("echo started", text_in(image, "usr/lib/vmm/run"))
        assert.matches("\n%-rwx%-%-%-%-%-%-[^\n]* opt/tool\n", process.capture {
            "sh", "-c", 'cpio --quiet -tv <"$1"', "sh", image })
    end)

    it("has the agent, by which the host runs commands", function()
        local image = prepare(("{ %s }"):format(KERNEL))
        assert.equal(require("vmm.scenario.agent").SCRIPT, text_in(image, "usr/lib/vmm/agent"))
    end)

    it("has programs of the host with what they are linked with", function()
        local names = names_in(prepare(("{ %s, programs = { 'xz' } }"):format(KERNEL)))
        assert.is_true(names["usr/bin/xz"])
        local loader
        for name in pairs(names) do loader = loader or name:match "ld%-linux.*%.so" end
        assert.is_truthy(loader)
    end)

    it("is refused in one line when a program or a file is not there", function()
        assert.equal("guest ~/bzImage: no program no-such-program on this host",
            prepare(("{ %s, programs = { 'no-such-program' } }"):format(KERNEL)))
        assert.equal("guest ~/bzImage: /nonexistent/file: no such file",
            prepare(("{ %s, files = { ['/f'] = { host = '/nonexistent/file' } } }")
                :format(KERNEL)))
    end)

    it("is made once: the second time no program runs and nothing is written", function()
        local recipe = ("{ %s, programs = { '/bin/busybox' } }"):format(KERNEL)
        local image = prepare(recipe)
        local before = core.file_status(image)
        -- The list of processes that Lua starts is that of calls to these two.
        assert.equal(image .. "\t0", run(([[
            local count = 0
            local function counted(fn)
                return function(...) count = count + 1 return fn(...) end
            end
            io.popen, os.execute = counted(io.popen), counted(os.execute)
            print(guest(%s):prepare().initrd, count)]]):format(recipe)))
        assert.same(before, core.file_status(image))
    end)

    it("is made anew when a file that went in has changed", function()
        local recipe = ("{ %s, files = { ['/f'] = { host = %q } } }"):format(KERNEL,
            write("file", "one"))
        local first = prepare(recipe)
        write("file", "other")
        local second = prepare(recipe)
        assert.not_equal(first, second)
        assert.same({ "one", "other" }, { text_in(first, "f"), text_in(second, "f") })
    end)

    it("is whole in the cache though many make it at once", function()
        local output = assert(process.capture { "sh", "-c", [[
            for n in 1 2 3 4; do
                VMM_CACHE="$1/cache" HOME="$1" "$2" -e "$3" &
            done
            wait]], "sh", scratch, process.executable(),
            ("print(require('vmm.guest')({ %s }):prepare().initrd)"):format(KERNEL) })
        local image = output:match "[^\n]+"
        assert.equal((image .. "\n"):rep(4), output)
        assert.is_true(names_in(image).init)
        -- Nothing half done is left beside it.
        assert.equal(image:match "[^/]+$" .. "\n" .. image:match "[^/]+$" .. ".recipe\n",
            process.capture { "ls", scratch .. "/cache" })
    end)
end)

describe("a disk with Debian", function()
    local RECIPE = "{ kernel = '~/bzImage', root = { debian = 'bookworm', packages = { 'fio' } } }"

    -- What is called in mmdebstrap's place; the image that is to be made is in $image.
    local function mmdebstrap(script)
        write("bin/mmdebstrap", [[
#!/bin/sh
printf '%s\n' "$@" >"${0%/*}/log"
image=$(printf '%s\n' "$@" | grep -o "/[^' ]*/make[.][^' /]*/image" | head -n 1)
]] .. script .. "\n")
        write("bin/newuidmap", "#!/bin/sh\n")
        assert(process.capture { "chmod", "+x", scratch .. "/bin/mmdebstrap",
            scratch .. "/bin/newuidmap" })
        return "PATH=" .. scratch .. "/bin:" .. os.getenv "PATH"
    end

    local function image_of(path)
        return prepare(RECIPE, "block[1].path", path)
    end

    before_each(function() write("bzImage", bzimage "4.4.4") end)

    it("is made once, with the packages asked for, and given to the guest read-only", function()
        local path = mmdebstrap 'echo contents >"$image"'
        local output = image_of(path)
        local image = output:match "^vmm%-reference: making a disk with Debian bookworm\n(.*)$"
        assert.equal("contents", process.line { "cat", image or "" }, output)
        assert.matches("\n%-%-include=systemd%-sysv,udev,kmod,iproute2,fio\n",
            process.capture { "cat", scratch .. "/bin/log" })
        mmdebstrap "exit 1"
        assert.equal(image, image_of(path))
        assert.equal("true vmm-root guest login:  root", run(([[
            local made = guest(%s):prepare()
            print(("%%s %%s %%s %%s"):format(made.block[1].readonly, made.block[1].serial,
                made.prompt, made.login.password))]]):format(RECIPE)))
    end)

    it("that cannot be made is told by what apt says first, and leaves nothing", function()
        local path = mmdebstrap [[
            echo "I: running apt-get update..."
            echo "E: Failed to fetch http://mirror/InRelease  Could not resolve 'mirror'"
            echo "E: mmdebstrap failed to run"
            exit 25]]
        assert.equal("vmm-reference: making a disk with Debian bookworm\nguest ~/bzImage: cannot "
            .. "make a disk with Debian bookworm: Failed to fetch http://mirror/InRelease Could "
            .. "not resolve 'mirror'", image_of(path))
        assert.equal("", process.capture { "ls", scratch .. "/cache" })
    end)

    -- A PATH that has hardly anything, and this program.
    local function few(name, script)
        assert(process.capture { "sh", "-c", [[
            mkdir -p "$1/few" && cd "$1/few" &&
            for name in busybox mkdir mktemp rm; do ln -sf "$(command -v $name)" $name; done
            printf '#!/bin/sh\n%s\n' "$3" >"$2" && chmod +x "$2"]],
            "sh", scratch, name, script })
        return "PATH=" .. scratch .. "/few"
    end

    it("needs mmdebstrap, and says so", function()
        assert.equal("guest ~/bzImage: no mmdebstrap on this host; install Debian's mmdebstrap",
            image_of(few("id", "echo 0")))
    end)

    it("needs what a user's namespaces need when it is not made by root, and says so", function()
        few("mmdebstrap", "exit 1")
        assert.equal("guest ~/bzImage: no newuidmap on this host, which mmdebstrap needs where it "
            .. "is not run by root; install Debian's uidmap", image_of(few("id", "echo 1000")))
    end)

    it("may be one of one's own", function()
        local image = write("image", "x")
        assert.equal(image, prepare(("{ kernel = '~/bzImage', root = { disk = %q } }")
            :format(image), "block[1].path"))
    end)
end)

describe("vmm.guest", function()
    local guest = require "vmm.guest"

    for _, case in ipairs {
        { "debian-clod", 'vmm.guest: unknown guest "debian-clod", did you mean "debian-cloud"? '
            .. "known: debian, debian-cloud, debian-disk, host-root" },
        { { kernal = "x" }, 'vmm.guest: unknown option "kernal", did you mean "kernel"? valid: ' },
        { { root = "hots" }, 'vmm.guest: unknown root "hots", did you mean "host"? valid: debian, '
            .. "host, initramfs, or a table with one of debian, disk, folder" },
        { { root = {} },
            "vmm.guest: root: give one of debian = suite, disk = path, folder = path" },
        { { root = { debian = "sid", package = { "x" } } }, 'vmm.guest: root: unknown option '
            .. '"package", did you mean "packages"? valid: ' },
        { { files = { x = "y" } },
            'vmm.guest: files: each key must be a path in the guest, from / on, not "x"' },
        { { files = { ["/x"] = 5 } },
            "vmm.guest: files: /x must be a text or { host = path, mode = bits }, not 5" },
        { { modules = "loop" }, 'vmm.guest: modules must be a table, not "loop"' },
        { 5, "vmm.guest must be a name or a table, not 5" },
    } do
        it("raises at its caller: " .. case[2], function()
            local ok, message = pcall(function()
                local made = guest(case[1])
                return made
            end)
            assert.is_false(ok)
            assert.matches("guest_spec.lua:%d+: ", message)
            assert.is_truthy(message:find(case[2], 1, true), message)
        end)
    end

    it("takes what it has returned", function()
        local made = guest "debian-cloud"
        assert.equal(made, guest(made))
        assert.equal("debian-cloud", made.name)
    end)
end)
