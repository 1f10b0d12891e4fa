-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The host side of the lab: start QEMU, carry standard files, watch the status port, end in time.

local host = {}

-- Arguments: scratch directory, seconds until "ready", seconds to run (0: no limit), the word
-- terminal or pipes, the directory for /out or "", then QEMU's command line. All that happens
-- comes as lines through the fifo "status": from the lab's /init, from QEMU's end ("qemu N"),
-- from the time limits ("late WORD") and from readers that went away ("closed NAME").
local SCRIPT = [=[
dir=$1 boot_limit=$2 run_limit=$3 mode=$4 out=$5
shift 5
say() { printf 'vmm-reference: lab: %s\n' "$*" >&5; }
exec 3<&0 4>&1 5>&2
for name in status control stdin stdout stderr out; do
    mkfifo "$dir/$name"
done
exec 6<>"$dir/status" 7<>"$dir/control"
# Readers see the end when QEMU has gone and these are closed, whether QEMU came to open its side
# or not. Standard files, which are at 3 to 5 now, serve because a shell's descriptors end at 9.
exec 8<>"$dir/stdout" 0<>"$dir/stderr" 1<>"$dir/out"

terminal=
background=
clean_up() {
    trap '' INT TERM HUP
    # QEMU is the waiter's child: it is reaped there.
    [ "$qemu" = ended ] || kill -KILL "${qemu:-$waiter}" 2>/dev/null
    wait "$waiter" 2>/dev/null
    for process in $background; do
        kill "$process" 2>/dev/null
    done
    exec 8>&- 0</dev/null 1>/dev/null
    for process in $readers; do
        wait "$process" 2>/dev/null
    done
    [ -z "$unpacker" ] || wait "$unpacker"
    unpacked=$?
    [ -z "$terminal" ] || stty "$terminal" <&3
    rm -rf "$dir"
}
fail() {
    say "$*"
    if [ -s "$dir/kernel.log" ]; then
        say 'the last lines of its kernel log:'
        tail -n 20 "$dir/kernel.log" | tr -d '\r' >&5
    fi
    [ ! -s "$dir/qemu.log" ] || { say 'what QEMU said:'; cat "$dir/qemu.log" >&5; }
    clean_up
    exit 125
}
die() {
    clean_up
    trap - "$1"
    kill -s "$1" $$
}
qemu=
readers=
unpacker=
for name in INT TERM HUP; do
    trap "echo signal $name >&6" $name
done

# Helpers outlive the signals that a terminal or timeout(1) sends to the whole group, but not
# this script, however it ends.
bound() { exec setpriv --pdeathsig KILL "$@"; }
reader() {
    trap '' INT TERM HUP
    bound sh -c 'setpriv --pdeathsig KILL cat 2>/dev/null || echo "closed $1" >&6' reader "$1"
}
exec 9<"$dir/stdout"
reader stdout <&9 >&4 8>&- 9<&- & readers="$readers $!"
exec 9<"$dir/stderr"
reader stderr <&9 >&5 8>&- 9<&- & readers="$readers $!"
if [ -n "$out" ]; then
    exec 9<"$dir/out"
    ( trap '' INT TERM HUP; bound tar -xf - -C "$out" ) <&9 >/dev/null 2>&1 8>&- 9<&- &
    unpacker=$!
fi
exec 9<&-
if [ "$mode" = terminal ]; then
    terminal=$(stty -g <&3)
    window() { stty size <&3 2>/dev/null | sed 's/^/size /' >&7; }
    trap window WINCH
    window
    stty raw -echo <&3
    console="$dir/stdout"
else
    console=/dev/null
fi
( trap '' INT HUP; bound sh -c 'exec cat >"$1/stdin"' stdin "$dir" ) \
    <&3 >/dev/null 2>&1 8>&- &
background="$background $!"

# QEMU 7.2 may lose the wake-up of a CPU that halts: what its timer has asked for then waits, for
# ever if nothing else happens. An interrupt of another device wakes it for both.
( trap '' INT HUP; bound sh -c 'while sleep 2 && kill -0 "$1"; do echo beat >&7; done' "$dir" $$ ) \
    </dev/null >/dev/null 2>&1 3<&- 4>&- 5>&- 6>&- 8>&- &
background="$background $!"

# Out of reach of all signals to the group.
bound setsid sh -c '
    dir=$1 console=$2
    shift 2
    setpriv --pdeathsig KILL "$@" <"$dir/stdin" >"$console" 2>"$dir/qemu.log" &
    echo "started $!" >&6
    wait $!
    echo "qemu $?" >&6' waiter "$dir" "$console" "$@" \
    >/dev/null 2>&1 8>&- & waiter=$!

limit() {
    exec setpriv --pdeathsig TERM sh -c '
        trap "kill \$!; exit" TERM
        sleep "$1" &
        wait $! && echo "late $2" >&6' timer "$@" >/dev/null 2>&1 3<&- 4>&- 5>&- 8>&-
}
limit "$boot_limit" boot & background="$background $!"
state=boot
while :; do
    verb=
    # Interrupted by a signal, it fails and the signal's own line follows.
    read -r verb rest <&6
    case $verb in
    started) qemu=$rest ;;
    signal)
        # The program gets the first one and some time to end; a second one ends the lab.
        [ $state = run ] || die "$rest"
        state=ending
        echo "signal $rest" >&7
        limit 5 "$rest" & background="$background $!" ;;
    ready)
        state=run
        [ "$run_limit" = 0 ] || { limit "$run_limit" run & background="$background $!"; } ;;
    fail) fail "$rest" ;;
    exit)
        clean_up
        [ $unpacked = 0 ] || { say "what came from /out cannot be unpacked in $out"; exit 125; }
        exit "$rest" ;;
    qemu) qemu=ended; fail "QEMU ended (status $rest) before the program did" ;;
    closed) clean_up; exit 141 ;;
    late)
        case $rest in
        boot) [ $state != boot ] || fail "not up after $boot_limit s" ;;
        run)
            say "time-out after $run_limit s"
            clean_up
            exit 124 ;;
        *) die "$rest" ;;
        esac ;;
    esac
done
]=]

--- Names of the lab's ports in the order they are made.
-- options.terminal: the program's standard files are a console;
-- options.out_directory: a port for /out.
function host.ports(options)
    local names = options.terminal and { "stderr", "control" }
        or { "stdin", "stdout", "stderr", "control" }
    if options.out_directory then
        names[#names + 1] = "out"
    end
    names[#names + 1] = "status"
    return names
end

--- QEMU's command line for a lab.
-- options: qemu, kernel, initrd (paths), memory_mib, cpus, scratch (directory of the fifos), disks
-- (an array of { path = of a raw image, readonly = }, optional), and those of host.ports.
function host.qemu(options)
    local argv = {
        options.qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        -- Without XSAVE: under TCG a nested guest's XCR0 and its CPUID disagree, and Linux warns.
        "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max,-xsave",
        "-smp", tostring(options.cpus), "-m", tostring(options.memory_mib),
        "-kernel", options.kernel, "-initrd", options.initrd,
        "-append", "console=ttyS0 panic=-1 mitigations=off cryptomgr.notests quiet",
        "-serial", "file:" .. options.scratch .. "/kernel.log",
        "-device", "virtio-serial-pci,max_ports=16",
    }
    for index, disk in ipairs(options.disks or {}) do
        -- A comma in a value is written twice.
        table.move({
            "-drive", ("if=none,id=disk%d,format=raw,readonly=%s,file=%s"):format(index,
                disk.readonly and "on" or "off", (disk.path:gsub(",", ",,"))),
            "-device", ("virtio-blk-pci,drive=disk%d"):format(index),
        }, 1, 4, #argv + 1, argv)
    end
    if options.terminal then
        table.move({ "-chardev", "stdio,id=tty,signal=off", "-device", "virtconsole,chardev=tty" },
            1, 4, #argv + 1, argv)
    end
    local chardevs = { stdin = "stdio,id=%s,signal=off", control = "pipe,id=%s,path=%s" }
    for _, name in ipairs(host.ports(options)) do
        table.move({
            "-chardev", (chardevs[name] or "file,id=%s,path=%s,append=on")
                :format(name, options.scratch .. "/" .. name),
            "-device", ("virtserialport,chardev=%s,name=%s"):format(name, name),
        }, 1, 4, #argv + 1, argv)
    end
    return argv
end

--- The host command that runs a lab to its end with its own standard files.
-- options: those of host.qemu, boot_limit and run_limit (seconds, 0: none), out_directory.
-- It exits with the program's exit code, 124 after a time-out, 125 when the lab itself failed.
function host.command(options)
    local argv = {
        "sh", "-c", SCRIPT, "lab", options.scratch, tostring(options.boot_limit),
        tostring(options.run_limit), options.terminal and "terminal" or "pipes",
        options.out_directory or "",
    }
    local qemu = host.qemu(options)
    return table.move(qemu, 1, #qemu, #argv + 1, argv)
end

return host
