-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The host side of the lab: start QEMU, carry standard files, watch the status port, end in time.

local process = require "vmm.process"

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

terminal=
background=
clean_up() {
    trap '' INT TERM HUP
    [ -z "$qemu" ] || kill -KILL "$qemu" 2>/dev/null
    for process in $background; do
        kill "$process" 2>/dev/null
    done
    # A reader whose other end never came would wait for ever.
    for name in stdout stderr out; do
        : <>"$dir/$name"
    done
    for process in $readers; do
        wait "$process" 2>/dev/null
    done
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
qemu=
readers=
trap 'signal=INT' INT
trap 'signal=TERM' TERM
trap 'signal=HUP' HUP
signal=

( cat <"$dir/stdout" >&4; echo 'closed stdout' >&6 ) 2>/dev/null & readers="$readers $!"
( cat <"$dir/stderr" >&5; echo 'closed stderr' >&6 ) 2>/dev/null & readers="$readers $!"
if [ -n "$out" ]; then
    tar -xf - -C "$out" <"$dir/out" & readers="$readers $!"
fi
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
cat <&3 >"$dir/stdin" 2>/dev/null & background="$background $!"

# Die with this script, however it ends.
setpriv --pdeathsig KILL sh -c '
    dir=$1 console=$2
    shift 2
    setpriv --pdeathsig KILL "$@" <"$dir/stdin" >"$console" 2>"$dir/qemu.log" &
    echo "started $!" >&6
    wait $!
    echo "qemu $?" >&6' waiter "$dir" "$console" "$@" & background="$background $!"

limit() { ( sleep "$1"; echo "late $2" >&6 ) & watch=$!; background="$background $!"; }
limit "$boot_limit" boot
code=
while :; do
    if [ -n "$signal" ]; then
        clean_up
        trap - "$signal"
        kill -s "$signal" $$
    fi
    read -r verb rest <&6 || continue
    case $verb in
    started) qemu=$rest ;;
    ready)
        kill "$watch" 2>/dev/null
        [ "$run_limit" = 0 ] || limit "$run_limit" run ;;
    fail) fail "$rest" ;;
    exit) code=$rest; break ;;
    qemu) qemu=; fail "QEMU ended (status $rest) before the program did" ;;
    late)
        [ "$rest" = run ] || fail "not up after $boot_limit s"
        say "time-out after $run_limit s"
        clean_up
        exit 124 ;;
    closed) clean_up; exit 141 ;;
    esac
done
clean_up
exit "$code"
]=]

--- QEMU's command line for a lab.
-- options: kernel, initrd (paths), memory_mib, cpus, scratch (directory of the fifos),
-- terminal (true: hvc0 is the user's terminal), out (true: a port for /out).
function host.qemu(options)
    local at = options.scratch .. "/"
    local argv = {
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
        "-smp", tostring(options.cpus), "-m", tostring(options.memory_mib),
        "-kernel", options.kernel, "-initrd", options.initrd,
        "-append", "console=ttyS0 panic=-1 mitigations=off quiet",
        "-serial", "file:" .. at .. "kernel.log",
        "-device", "virtio-serial-pci,max_ports=16",
    }
    local function port(name, chardev)
        table.move({
            "-chardev", chardev, "-device",
            ("virtserialport,chardev=%s,name=%s"):format(name, name),
        }, 1, 4, #argv + 1, argv)
    end
    local function from_lab(name)
        port(name, ("file,id=%s,path=%s%s,append=on"):format(name, at, name))
    end
    if options.terminal then
        table.move({ "-chardev", "stdio,id=tty,signal=off", "-device", "virtconsole,chardev=tty" },
            1, 4, #argv + 1, argv)
    else
        port("stdin", "stdio,id=stdin,signal=off")
        from_lab("stdout")
    end
    from_lab("stderr")
    port("control", "pipe,id=control,path=" .. at .. "control")
    if options.out then
        from_lab("out")
    end
    from_lab("status")
    return argv
end

--- Run a lab to its end with our standard files.
-- options: those of host.qemu, and boot_limit, run_limit (seconds, 0: none), out_directory.
-- Returns the program's exit code, 124 after a time-out, 125 when the lab itself failed.
function host.run(options)
    local argv = {
        "sh", "-c", SCRIPT, "lab", options.scratch, tostring(options.boot_limit),
        tostring(options.run_limit), options.terminal and "terminal" or "pipes",
        options.out_directory or "",
    }
    local qemu = host.qemu(options)
    table.move(qemu, 1, #qemu, #argv + 1, argv)
    return process.run(argv, { die_with_parent = true })
end

return host
