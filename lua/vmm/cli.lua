-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The command line of vmm-reference: from its words to an exit code.

local host = require "vmm.cli.host"
local parse = require "vmm.cli.parse"

local cli = { parse = parse }

local USAGE_ERROR = 2

-- What each action does; each returns an exit code and maybe a message.
local ACTIONS = {}

function ACTIONS.help(_, on)
    on.write(require("vmm.cli.help").text())
    return 0
end

function ACTIONS.man(_, on)
    on.write(require("vmm.cli.man").page(on.version))
    return 0
end

function ACTIONS.completion(command, on)
    on.write(require("vmm.cli.completion")[command.given.completion]())
    return 0
end

function ACTIONS.version(_, on)
    on.write(require("vmm.cli.help").version(on.version, on.formats()))
    return 0
end

function ACTIONS.command(command)
    return require(command.module).main(command.args)
end

function ACTIONS.script(command, on)
    return require("vmm.cli.script").run(command, on)
end

function ACTIONS.boot(command, on)
    return require("vmm.cli.boot").run(command, on)
end

function ACTIONS.check(command, on)
    return require("vmm.cli.check").run(command, on)
end

--- Do what a command line says.
-- @param argv  list of words, without the program's name
-- @param on    the host to do it on (see vmm.cli.host); default: this one
-- @return exit code
function cli.main(argv, on)
    on = on or host.new()
    local command, message = parse(argv)
    local code = USAGE_ERROR
    if command then
        local action = command.given.check and "check" or command.action
        code, message = ACTIONS[action](command, on)
    end
    if message then
        on.complain(message)
    end
    return on.interrupted() or code
end

return cli
