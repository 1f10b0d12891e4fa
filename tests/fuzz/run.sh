#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# run.sh SECONDS PROGRAM...: run each fuzz target for that long, from the seeds
# in tests/fuzz/corpus/NAME (for fuzz_NAME); what it finds that reaches new code
# is kept beside the program, and so is an input that fails.
set -u

seconds=$1
shift
failed=0
number=0
for program; do
    number=$((number + 1))
    name=$(basename "$program")
    name=${name#fuzz_}
    scratch=$(dirname "$program")/$name
    mkdir -p "$scratch"
    if "$program" -max_total_time="$seconds" -print_final_stats=1 \
        -artifact_prefix="$scratch-" "$scratch" "tests/fuzz/corpus/$name" \
        >"$scratch.log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch.log")
        echo "ok $number - $name: $runs inputs in $seconds s"
    else
        failed=1
        echo "not ok $number - $name: see $scratch.log"
        tail -20 "$scratch.log" | sed 's/^/# /'
    fi
done
echo "1..$number"
exit $failed
