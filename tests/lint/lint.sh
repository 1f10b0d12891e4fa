#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# All static checks, each reported as one TAP line.
set -u

number=0
failed=0

# check NAME COMMAND...: the command's output is shown when it fails
check() {
    number=$((number + 1))
    name=$1
    shift
    if output=$("$@" 2>&1); then
        echo "ok $number - $name"
    else
        failed=$((failed + 1))
        echo "not ok $number - $name"
        echo "$output" | tail -40 | sed 's/^/# /'
    fi
}

c_files=$(git ls-files | grep -E '\.[ch]$')

# shellcheck disable=SC2086 # lists of files without spaces
{
    check "C is formatted as .clang-format says" \
        clang-format --dry-run -Werror $c_files
    check "gcc compiles everything without warnings" \
        make -s WERROR=1 CC=gcc B=.build/lint-gcc compile
    check "clang compiles everything without warnings" \
        make -s WERROR=1 CC=clang B=.build/lint-clang compile
    check "luacheck finds nothing" luacheck -q lua tests examples
    check "includes go downward only" tests/lint/layers.sh
    check "every file names its licence" tests/lint/licences.sh
}
echo "1..$number"
[ "$failed" = 0 ]
