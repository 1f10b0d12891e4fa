# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""A contender of scenario_rounds.lua: the same figures by pexpect, as its documentation does it.

Arguments: FIGURE COMMAND..., which starts the guest with its console on standard input and output;
the figures seen and memory are taken of a process on a pty, and have no COMMAND.
"""
import os
import statistics
import sys
import time

import pexpect

TIMES, WARM = 20, 3
PROMPT = "guest# "
SECONDS = 300

# What stands for a guest where the time of its output has to be known: when it writes a line, by
# the clock of all processes.
WRITER = """
import sys, time
while sys.stdin.readline():
    print("at", time.monotonic_ns(), flush=True)
"""


# What tests/guest/torrent.c prints; QEMU starts no ELF that lacks a PVH note.
TORRENT = """
for number in range(8192):
    print("line %04x " % number + "." * 53)
print("PASS")
"""


def boot(command):
    child = pexpect.spawn(command[0], command[1:], timeout=SECONDS)
    child.delaybeforesend = None  # 50 ms before all that is sent, for the sake of passwords
    return child


def median(action):
    taken = []
    for _ in range(WARM + TIMES):
        start = time.monotonic()
        result = action()
        taken.append(time.monotonic() - start if result is None else result)
    return statistics.median(taken[WARM:])


def console(child):
    def action():
        child.sendline("true; echo status=$?")
        child.expect(r"\nstatus=(\d+)")
        assert child.match.group(1) == b"0"
        child.expect_exact(PROMPT)
    return 1e3 * median(action)


def enter(child):
    def action():
        child.sendline("")
        child.expect_exact(PROMPT)
    return 1e3 * median(action)


def seen():
    child = boot([sys.executable, "-c", WRITER])
    child.setecho(False)

    def action():
        child.sendline("")
        child.expect(r"at (\d+)\r\n")
        return (time.monotonic_ns() - int(child.match.group(1))) / 1e9
    return 1e6 * median(action)


def resident():
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])


def memory():
    before = resident()
    child = boot([sys.executable, "-c", TORRENT])
    child.expect("PASS")
    return (resident() - before) / (len(child.before) / (1 << 20))


def main(figure, command):
    if figure == "seen":
        print(seen())
    elif figure == "memory":
        print(memory())
    else:
        child = boot(command)
        child.expect_exact(PROMPT)
        print({"console": console, "enter": enter}[figure](child))
        child.close(force=True)
    sys.stdout.flush()
    os._exit(0)


main(sys.argv[1], sys.argv[2:])
