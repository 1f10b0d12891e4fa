-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The command line of vmm-reference.

local cli = {}

cli.parse = require "vmm.cli.parse"

return cli
