#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# run.sh SECONDS PROGRAM...: run each fuzz target for that long, one on each CPU,
# from the seeds in tests/fuzz/corpus/NAME (for fuzz_NAME); what it finds that
# reaches new code is kept beside the program, and so is an input that fails.
set -u

# run.sh --one SECONDS PROGRAM: a line of the Test Anything Protocol, and of
# what fails the end of its log, at once.
one() {
    name=$(basename "$2")
    name=${name#fuzz_}
    scratch=$(dirname "$2")/$name
    mkdir -p "$scratch"
    if "$2" -max_total_time="$1" -print_final_stats=1 \
        -artifact_prefix="$scratch-" "$scratch" "tests/fuzz/corpus/$name" \
        >"$scratch.log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch.log")
        echo "ok 1 - $name: $runs inputs in $1 s"
    else
        printf '%s\n%s\n' "not ok 1 - $name: see $scratch.log" \
            "$(tail -20 "$scratch.log" | sed 's/^/# /')"
        return 1
    fi
}

if [ "$1" = --one ]; then
    shift
    one "$@"
    exit
fi
seconds=$1
shift
echo "1..$#"
printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" "$0" --one "$seconds"
