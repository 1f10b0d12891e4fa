#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Every source file names its licence within its first three lines.
set -eu

status=0
for file in $(git ls-files | grep -E '\.(c|h|S|inc|lua|sh|md|ld)$|^Makefile$|^\.ci/run$'); do
    head -3 "$file" |
        grep -q 'SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause' || {
        echo "$file: no SPDX line" >&2
        status=1
    }
done
exit $status
