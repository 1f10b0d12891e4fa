---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The reference of the prompt's parts: what shows values, and what takes the terminal from a console.

---@class vmm.show  require "vmm.show"
local show = {}
---A value as text for a person: tables with their keys, three deep; bounded whatever the value holds.
---A string is as it is but for control characters; strings in tables are quoted.
---@param value any
---@param options? { hex?: boolean }  large integers in hexadecimal, too
---@return string text  without a newline at its end
function show.value(value, options) end
---Several values, on one line where each fits one.
---@param values { n: integer, [integer]: any }  a table.pack
---@param options? { hex?: boolean }
---@return string text
function show.values(values, options) end

---@class vmm.console
local console = {}
---Attaches the terminal of the program, beside where the console goes already: every key goes to the
---guest, Ctrl-A c and Ctrl-A x aside.
---@return true? ok, string? message, string? code
function console:attach_terminal() end

---@class vmm.console.core
local console_core = {}
---From now on the guest's output goes to the capture alone, not to fds; the guest is not slowed down.
---@return integer position  up to which the fds have been written
function console_core:hold_output() end
---Writes the fds again, from a position on up to which the caller has shown the output itself (nil:
---from now on).
---@param position? integer
---@return boolean released  false, and still held, when there is output after the position
function console_core:release_output(position) end
