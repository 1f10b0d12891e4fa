---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The blocks that a build may leave out.

---@class vmm
---@field features table<string, boolean>  which blocks this build has: { serial = true, ... }, false for
---those it was built without (`make features` lists them).  A function or method of a block that is
---missing returns nil, message, "ENOTSUP"; requiring a module of one raises the message.
