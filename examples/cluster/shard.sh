#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# One shard of a suite: a task of a Slurm job array, which submit.sh starts.
#
# usage: sbatch --array=1-N shard.sh DIRECTORY PROGRAM ARGUMENTS...
#   DIRECTORY  for the run file, shard-I.jsonl, and what the tests leave: one that all nodes share
#   PROGRAM    vmm-reference, and ARGUMENTS of its command test

# A node that is lost takes its shard with it; Slurm starts that one again, elsewhere.
#SBATCH --requeue
#SBATCH --open-mode=append
set -eu

directory=$1 program=$2
shift 2
shard=$SLURM_ARRAY_TASK_ID of=$SLURM_ARRAY_TASK_COUNT
again=${SLURM_RESTART_COUNT:-0} most=${VMM_SHARD_RETRIES:-3}
echo "shard $shard/$of, attempt $((again + 1)), on $(hostname) (${SLURMD_NODENAME:-no node})"
if [ "$again" -gt "$most" ]; then
    echo "lost $again times; no more than $most retries (VMM_SHARD_RETRIES)" >&2
    exit 1
fi

# The attempts' files are apart: a node that Slurm has lost may still be at work. What has no end
# never gets the name that counts.
attempt=$directory/attempt-$shard.$((again + 1))
status=0
"$program" test --shard "$shard/$of" --artefacts "$attempt" --report "$attempt.jsonl" "$@" || status=$?
if tail -n 1 "$attempt.jsonl" 2>/dev/null | grep -q '"run_end"'; then
    mv "$attempt.jsonl" "$directory/shard-$shard.jsonl"
fi
exit "$status"
