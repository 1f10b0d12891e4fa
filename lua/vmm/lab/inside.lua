-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What runs inside the lab: the text of its /init, which starts the user's program and reports.

local process = require "vmm.process"

local inside = {}

--- /init. It speaks to the host through named virtio-serial ports:
-- status (lines "ready", "fail TEXT", "exit N"), stdin, stdout, stderr, control (lines
-- "size ROWS COLUMNS", "signal NAME", and "beat", which only wakes the CPU), out (a tar archive of
-- /out). With a terminal, the program's standard files are on hvc0.
inside.INIT = [=[
#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t debugfs debug /sys/kernel/debug
ln -s /proc/self/fd /dev/fd
for name in stdin:0 stdout:1 stderr:2; do
    ln -s "/proc/self/fd/${name#*:}" "/dev/${name%:*}"
done
# Guests of any size: their memory is only backed where they touch it.
echo 1 >/proc/sys/vm/overcommit_memory
ip link set lo up

stop() {
    echo "lab: $1"
    echo "fail $1" >&9
    poweroff -f
}

for module in $(cat /lab/modules); do
    insmod "$module" || stop "insmod $module failed"
done

# The driver learns of its ports, and then of their names, one by one.
tries=1000
for wanted in $(cat /lab/ports); do
    until [ -e "/lab/port-$wanted" ]; do
        for port in /sys/class/virtio-ports/*; do
            read -r name 2>/dev/null <"$port/name" || continue
            ln -sf "/dev/${port##*/}" "/lab/port-$name"
        done
        [ -e "/lab/port-$wanted" ] && break
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { echo "lab: no port $wanted to the host"; poweroff -f; }
        usleep 10000
    done
done
exec 9>/lab/port-status
[ -c /dev/kvm ] || stop "no /dev/kvm: this CPU model offers no SVM"
[ ! -e /lab/hold.lua ] || $(cat /lab/program) /lab/hold.lua </dev/null 9>&- &
echo ready >&9

# Wait until the host has taken all that was written to a port that nobody has open any more.
# Opening a port collects the buffers the host is done with.
drain() {
    [ -e "$1" ] || return 0
    port=$(readlink "$1")
    while :; do
        : 2>/dev/null >"$1"
        grep -q '^outvq_full: 0' "/sys/kernel/debug/virtio-ports/${port##*/}" && break
        usleep 5000
    done
}

while read -r verb first second; do
    case $verb in
    size) stty -F /dev/hvc0 rows "$first" cols "$second" ;;
    signal) kill "-$first" "-$(cat /lab/pid)" ;;
    esac
done </lab/port-control 9>&- &

# In the foreground: a shell's background commands ignore SIGINT.
if [ -e /lab/terminal ]; then
    setsid -c /lab/run </dev/hvc0 >/dev/hvc0 2>/dev/hvc0 9>&-
else
    setsid /lab/run </lab/port-stdin >/lab/port-stdout 2>/lab/port-stderr 9>&-
fi
code=$?
kill -9 -1
if [ -e /lab/port-out ]; then
    tar -cf - -C /out . >/lab/port-out
    drain /lab/port-out
fi
drain /lab/port-stdout
drain /lab/port-stderr
echo "exit $code" >&9
exec 9>&-
drain /lab/port-status
poweroff -f
]=]

--- /lab/hold.lua: keeps one VM open for as long as the lab runs, for the kernel switches the
-- CPUs' virtualization on with the first VM and off with the last one, and emulated CPUs have been
-- seen to hang there.
inside.HOLD = [=[
local vmm = require "vmm"
local vm <close> = assert(assert(vmm.kvm()):create_vm { name = "hold" })
vmm.sleep(math.huge)
]=]

--- /lab/run: the program in its directory with its environment.
function inside.run(directory, environment, argv)
    local lines = {
        "#!/bin/sh", "echo $$ >/lab/pid", "cd " .. process.quote(directory) .. " || exit 125",
    }
    local names = {}
    for name in pairs(environment) do
        names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
        lines[#lines + 1] = "export " .. name .. "=" .. process.quote(environment[name])
    end
    lines[#lines + 1] = "exec " .. process.command(argv)
    return table.concat(lines, "\n") .. "\n"
end

return inside
