-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- How a boot flow fails inside: one object raised deep down, returned as nil, message, code by
-- the function the user called. Errors of the program itself pass through untouched.

local failure = {}

local Failure = { __name = "vmm.boot.failure" }
Failure.__tostring = function(self)
    return self.message
end

-- Ends the flow with one line. format and its arguments are string.format's.
function failure.raise(code, format, ...)
    error(setmetatable({ message = format:format(...), code = code }, Failure), 0)
end

-- Passes the results of an operation through, or ends the flow with its message and code.
function failure.check(value, message, code, ...)
    if value then return value, message, code, ... end
    error(setmetatable({ message = message, code = code }, Failure), 0)
end

local function finish(ok, value, ...)
    if ok then return value, ... end
    if getmetatable(value) == Failure then return nil, value.message, value.code end
    error(value, 0)
end

-- The same function, returning nil, message, code for a failure raised in it.
function failure.catch(fn)
    return function(...)
        return finish(pcall(fn, ...))
    end
end

return failure
