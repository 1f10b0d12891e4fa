#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# A suite on many machines: the shards of a run as a Slurm job array, and one report of them all.
#
# usage: submit.sh SHARDS DIRECTORY ARGUMENTS-OF-VMM-REFERENCE-TEST...
#   SHARDS     how many, each a task of the job array
#   DIRECTORY  where all goes: report.html, report.xml (JUnit), run.jsonl, and what the shards
#              leave; it and the tests have to be at the same path on all nodes
# Environment:
#   VMM                the program (the vmm-reference in PATH)
#   VMM_SHARD_RETRIES  how often a shard whose node was lost is started again (3)
#   SBATCH_...         sbatch's own: SBATCH_PARTITION, SBATCH_TIMELIMIT, SBATCH_EXCLUSIVE=user, ...
# Exit codes: 0 all passed; 1 a test failed, or a shard is missing; 2 usage.
set -eu

if [ $# -lt 3 ]; then
    sed -n 's/^# //; /^usage/,/^Exit/p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
shards=$1
mkdir -p "$2"
directory=$(cd "$2" && pwd)
program=$(command -v "${VMM:-vmm-reference}") || {
    echo "submit.sh: ${VMM:-vmm-reference}: not found; set VMM" >&2
    exit 2
}
program=$(cd "$(dirname "$program")" && pwd)/${program##*/}
shift 2

# What an earlier run left would count as this one's.
rm -rf "$directory"/shard-* "$directory"/attempt-*
# It waits for all shards, and for those that are started again. Its exit code tells of tests that
# failed and of shards that are missing, which the report does better.
sbatch --wait --array="1-$shards" --job-name=vmm-tests --output="$directory/shard-%a.log" \
    "$here/shard.sh" "$directory" "$program" "$@" || :

set -- "$directory"/shard-*.jsonl
if [ ! -e "$1" ]; then
    echo "submit.sh: no shard has come to its end; see $directory/shard-*.log" >&2
    exit 1
fi
exec "$program" report --html "$directory/report.html" --junit "$directory/report.xml" \
    --jsonl "$directory/run.jsonl" "$@"
