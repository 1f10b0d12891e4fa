#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Includes go downward only: each room may use what stands before it in this
# list.  KVM's header stays out of devices and loaders, Lua's out of all but
# src/lua and src/main.c.
set -eu

rooms="base memory event console kvm boot symbols devices net pci virtio machine lua"
status=0

complain() {
    echo "$1" >&2
    status=1
}

below=" "
for room in $rooms; do
    [ -d "src/$room" ] || continue
    below="$below$room "
    for file in src/"$room"/*.[ch]; do
        for used in $(sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' "$file"); do
            case $below in
            *" $used "*) ;;
            *) complain "$file includes $used/, which lies above $room/" ;;
            esac
        done
    done
done

for room in src/*/; do
    room=$(basename "$room")
    case " $rooms " in
    *" $room "*) ;;
    *) complain "src/$room has no place in the list of tests/lint/layers.sh" ;;
    esac
done

for file in $(grep -l 'linux/kvm\.h' src/devices/*.[ch] src/boot/*.[ch] \
    src/base/*.[ch] src/memory/*.[ch] src/event/*.[ch] 2>/dev/null); do
    complain "$file includes linux/kvm.h: devices and loaders do not know KVM"
done

for file in $(grep -lE 'include <(lua|lauxlib|lualib)\.h>' src/*/*.[ch] |
    grep -v '^src/lua/'); do
    complain "$file includes Lua's headers: only src/lua and src/main.c do"
done
exit $status
