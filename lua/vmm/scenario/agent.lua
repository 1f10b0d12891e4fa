-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The agent: the shell script that runs in a guest what the host asks for, and what the host must
-- know of how it speaks.
--
-- Requests are lines; a `run` is followed by the command's lines, a `put` by bytes:
--   run ID LINES INPUT    a command of so many lines; INPUT 1: with what was put as its stdin
--   put ID BYTES          appended to the stdin of a command that is to come
--   part ID INDEX         the INDEX-th CHUNK of its output, from 0
--   kill ID SIGNAL        to its process group
--   cut ID TEXT           append the text to the output that is on its way
--   drop ID               forget it
-- Answers are lines; `end` and `part` are followed by as many bytes as they say:
--   vmm.agent ready 1 port|serial|stdio
--   exit ID STATUS        it has ended; its output may still be on its way
--   end ID SIZE BYTES     nobody holds its output any more; all of it, or 0 bytes of a larger one
--   part ID BYTES
--
-- A command has a session of its own, and a pipe for its output, so that /dev/stderr can be opened
-- and nothing is truncated; a mark cuts off what a daemon that it leaves behind holds open. Two
-- setsid begin it: the inner one finds that it leads a process group already, and goes on in a
-- child. "&" would do the same with SIGINT and SIGQUIT ignored for good.

local agent = {}

agent.PORT = "vmm.agent" -- the virtio port's name
agent.SERIAL = "ttyS1" -- the serial port that takes its place
agent.PATH = "/usr/lib/vmm/agent" -- where the script is in a guest
-- Words for the kernel's command line: the agent looks for nothing else.
agent.WORDS = { port = "vmm.agent=port", serial = "vmm.agent=serial" }

agent.CHUNK = 256 << 10 -- of output that is asked for in parts
agent.INLINE = 32 << 10 -- as much output comes with "end"
agent.OUTPUT_MAX = 16 << 20 -- a command that writes more gets SIGPIPE
agent.COMMAND_MAX = 64 << 10 -- a word of a command line has at most 128 KiB in Linux

local SCRIPT = [==[
#!/bin/sh
# Runs what the host asks for over a virtio port, else a serial port.  usage: agent [DEVICE|-]
# Needs /proc, a place to write, and of programs stty, setsid, mkfifo, mktemp, dd, wc, cat, rm.
export PATH="${PATH:-/usr/sbin:/usr/bin:/sbin:/bin}" HOME="${HOME:-/root}"
exec 2>/dev/null
cd "$HOME" || cd /
echo -900 >/proc/self/oom_score_adj

nap() {
    sleep 0.1 || sleep 1
}

find_port() {
    for entry in /sys/class/virtio-ports/*; do
        read -r name <"$entry/name" || continue
        device=/dev/${entry##*/} kind=port
        [ "$name" != @PORT@ ] || return 0
    done
    return 1
}

# A port that has no name yet may become ours; a serial port that is none refuses stty.
find_device() {
    read -r words </proc/cmdline
    case " $words " in
    *" vmm.agent=serial "*) ;;
    *) find_port && return 0
        for entry in /sys/class/virtio-ports/*; do
            [ ! -e "$entry" ] || return 1
        done ;;
    esac
    case " $words " in *" vmm.agent=port "*) return 1 ;; esac
    device=/dev/@SERIAL@ kind=serial
    [ -c "$device" ]
}

# dir id input command: one command, from its begin to the end of its output.
RUNNER='
{
    (
        read -r pid rest </proc/self/stat
        echo "$pid" >"$1/$2.pid"
        echo 0 >/proc/self/oom_score_adj
        exec setsid sh -c "$4" <"$3" 2>&1 5>&-
    )
    echo "exit $2 $?" >&5
} | (
    read -r pid rest </proc/self/stat
    echo "$pid" >"$1/$2.cat"
    ulimit -f @BLOCKS@
    exec cat >>"$1/$2.out" 5>&-
)
echo "end $2" >&5
'

# Removes the files of a command, of some together.
drop() {
    set -- "$1" $old
    old="$*"
    [ $# -ge 16 ] || return 0
    for id in $old; do
        set -- "$@" "$dir/$id".*
    done
    rm -f -- "$@"
    old=
}

# This process alone writes to the device.
answer() {
    old=
    printf '\n@PORT@ ready 1 %s\n' "$kind"
    while read -r what id extra <&5; do
        case $what in
        exit) echo "exit $id $extra" ;;
        end)
            size=0
            [ ! -s "$dir/$id.out" ] || size=$(($(wc -c <"$dir/$id.out")))
            if [ $size -gt @INLINE@ ]; then
                echo "end $id $size 0"
            else
                echo "end $id $size $size"
                [ $size -eq 0 ] || cat "$dir/$id.out"
                drop "$id"
            fi ;;
        part)
            dd if="$dir/$id.out" bs=@CHUNK@ skip="$extra" count=1 >"$dir/part"
            echo "part $id $(($(wc -c <"$dir/part")))"
            cat "$dir/part" ;;
        drop) drop "$id" ;;
        esac
    done
}

run() {
    command= count=$2 input=/dev/null
    while [ "$count" -gt 0 ]; do
        IFS= read -r line <&3
        command="$command$line
"
        count=$((count - 1))
    done
    [ "$3" != 1 ] || input=$dir/$1.in
    printf '' >"$dir/$1.out"
    setsid setsid sh -c "$RUNNER" sh "$dir" "$1" "$input" "$command" 3<&- 4>&-
}

# Waits for a file of a command that has begun and not been forgotten.
await() {
    while [ -e "$dir/$1.out" ] && [ ! -s "$dir/$1.$2" ]; do nap; done
    read -r pid <"$dir/$1.$2"
}

listen() {
    while read -r what id extra more <&3; do
        case $what in
        run) run "$id" "$extra" "$more" ;;
        put) dd bs="$extra" count=1 iflag=fullblock <&3 >>"$dir/$id.in" ;;
        kill) await "$id" pid && { kill "-$extra" "-$pid" || kill "-$extra" "$pid"; } ;;
        cut) await "$id" cat && (printf '%s' "$extra" >"/proc/$pid/fd/0") ;;
        part | drop) echo "$what $id $extra" >&5 ;;
        esac
    done
}

serve() {
    [ $kind != serial ] || stty raw -echo cs8 clocal crtscts -hupcl 115200 <&3 || return 1
    for base in /run /tmp /dev; do
        dir=$(mktemp -d "$base/vmm-agent.XXXXXX") && break
    done
    mkfifo "$dir/events" || return 1
    {
        answer >&4 &
        listen
        kill $!
    } 5<>"$dir/events"
    rm -rf "$dir"
}

if [ "$1" = - ]; then
    kind=stdio
    serve 3<&0 4>&1
    exit
fi
while :; do
    if [ -n "$1" ]; then
        device=$1 kind=serial
        [ ! -e "/sys/class/virtio-ports/${1##*/}" ] || kind=port
    fi
    if [ -n "$1" ] || find_device; then serve 3<>"$device" 4>&3; fi
    nap
done
]==]

local WORDS = {
    PORT = agent.PORT, SERIAL = agent.SERIAL, CHUNK = agent.CHUNK, INLINE = agent.INLINE,
    BLOCKS = agent.OUTPUT_MAX // 512,
}

agent.SCRIPT = SCRIPT:gsub("@(%u+)@", WORDS)

return agent
