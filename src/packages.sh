#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Install the Debian packages named, or tell the one command that does it.
set -eu

missing=
for package; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || :)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "packages are missing; type:" >&2
    echo "  sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
echo "  APT     $missing"
export DEBIAN_FRONTEND=noninteractive
install="apt-get -q -y install --no-install-recommends $missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The package lists of a fresh machine may be absent or stale.
$install >"$log" 2>&1 || { apt-get -q update && $install; } >"$log" 2>&1 ||
    { cat "$log" >&2; exit 1; }
