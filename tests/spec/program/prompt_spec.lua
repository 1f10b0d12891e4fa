-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The Lua prompt as its user sees it: on a terminal, beside guests, and from a file.

local pty = require "tests.spec.support.pty"

-- What the sessions share: a home of their own; vmm ARGUMENTS.. runs the program, then tells its
-- exit code and whether the terminal's settings are those of the start.
local SHELL = [[
export TERM=xterm HOME="$0.home" XDG_STATE_HOME="$0.state" VMM_LUA_PATH=
mkdir "$HOME"
stty rows 24 cols 100
found=$(stty -g)
vmm() {
    ./vmm-reference "$@"
    echo "code=$?"
    [ "$(stty -g)" = "$found" ] && echo sane
}
guest() {
    guest=$1; shift
    vmm --kernel "path=.build/guest/$guest.bin,flow=flat" "$@"
}
trap : INT QUIT
]]

local LEFT = "^%^D\r\n.*code=0\r\nsane\r\n$"

local function session(text)
    return pty.open(SHELL .. text .. "\n", 60)
end

-- A session at the first prompt.
local function at_prompt(text)
    local terminal = session(text or "vmm -i")
    terminal:expect "> "
    return terminal
end

-- A session at a prompt beside a guest.
local function beside(guest, ready)
    local terminal = session("guest " .. guest)
    terminal:expect(ready .. "\r\n")
    terminal:send "\1c"
    terminal:expect "^\r\n> "
    return terminal
end

-- Types a line; what it shows until the next prompt, but for what editing it shows.
local function enter(terminal, line)
    terminal:send(line .. "\r")
    return (terminal:expect "^[^\n]*\n(.-)> $":gsub("\r", ""))
end

-- Leaves the prompt that ends the program.
local function leave(terminal)
    terminal:send "\4"
    assert.matches(LEFT, (terminal:finish():gsub("\n", "\r\n")))
end

-- Leaves the prompt, then the console of a guest that runs on.
local function quit(terminal)
    terminal:send "\4"
    terminal:await_setting "-isig"
    terminal:send "\1x"
    assert.matches("code=0\nsane\n$", terminal:finish())
end

local describe_here = pty.available() and describe or pending

describe_here("the prompt", function()
    it("shows the values of an expression, tables with their keys", function()
        local terminal <close> = at_prompt()
        assert.equal('{ 1, "b", x = 1048576 (0x100000) }\n',
            enter(terminal, "{ 1, 'b', x = 1 << 20 }"))
        leave(terminal)
    end)

    it("goes on on another line with what is unfinished", function()
        local terminal <close> = at_prompt()
        terminal:send "for i = 1, 2 do\r"
        terminal:expect "^for i = 1, 2 do\r\n>> "
        terminal:send "print(i)\r"
        terminal:expect "^print%(i%)\r\n>> "
        assert.equal("1\n2\n", enter(terminal, "end"))
        leave(terminal)
    end)

    it("shows an error with what was typed in its traceback, and goes on", function()
        local terminal <close> = at_prompt()
        assert.equal("prompt:1: no\nstack traceback:\n\t[C]: in function 'error'\n"
            .. "\tprompt:1: in main chunk\n", enter(terminal, "error 'no'"))
        leave(terminal)
    end)

    it("takes UTF-8, whatever the locale", function()
        local terminal <close> = at_prompt "LC_ALL=C vmm -i"
        assert.equal("4\té\n", enter(terminal, "utf8.len 'aéxöß\127', 'é'"))
        leave(terminal)
    end)

    for _, word in ipairs { "exit", ".exit" } do
        it(("is left by %s"):format(word), function()
            local terminal <close> = at_prompt()
            terminal:send(word .. "\r")
            assert.matches("code=0\nsane\n$", terminal:finish())
        end)
    end

    for _, typed in ipairs { "help", "help()" } do
        it("has a help: " .. typed, function()
            local terminal <close> = at_prompt()
            terminal:send(typed .. "\r")
            terminal:expect "vm:pause%(%)"
            terminal:expect "\n> "
            leave(terminal)
        end)
    end

    it("lets tasks go on while it waits for a key", function()
        local terminal <close> = at_prompt()
        enter(terminal, "vmm.spawn(function() vmm.sleep(0.01); print 'from a task' end)")
        terminal:expect "^from a task\r\n"
        leave(terminal)
    end)

    it("shows the error of a callback and goes on", function()
        local terminal <close> = at_prompt "guest spin -i"
        enter(terminal, "vm:on('stop', function() error('oops', 0) end)")
        terminal:send "vm:stop()\r"
        terminal:expect "oops\r\n"
        terminal:send "\21'the ' .. 'end'\r"
        terminal:expect "\r\nthe end\r\n> "
        leave(terminal)
    end)
end)

describe_here("the lines typed at the prompt", function()
    it("come back with the arrow after a restart", function()
        local terminal <close> = at_prompt "vmm -i; vmm -i; stat -c %a $0.state/*/history"
        assert.equal("42\n", enter(terminal, "6 * 7"))
        terminal:send "\4"
        terminal:expect "> "
        assert.equal("42\n", enter(terminal, "\27[A"))
        terminal:send "\4"
        assert.matches("sane\n600\n$", terminal:finish())
    end)

    it("are found by Ctrl-R", function()
        local terminal <close> = at_prompt()
        enter(terminal, "6 * 7")
        enter(terminal, "1 + 1")
        terminal:send "\0186 "
        terminal:expect "6 %* 7"
        terminal:send "\r"
        terminal:expect "\n42\r\n> "
        leave(terminal)
    end)

    it("are those of the last thousand", function()
        local terminal <close> = at_prompt [[
            mkdir -p $XDG_STATE_HOME/vmm-reference
            seq 1 1500 >$XDG_STATE_HOME/vmm-reference/history
            vmm -i
            sed -n '1p;$p' $XDG_STATE_HOME/vmm-reference/history
        ]]
        assert.equal("1500\n", enter(terminal, "\27[A"))
        terminal:send "\4"
        assert.matches("sane\n501\n1500\n$", terminal:finish())
    end)
end)

describe_here("Tab at the prompt", function()
    it("completes a field of the VM", function()
        local terminal <close> = at_prompt "guest spin -i"
        assert.equal("1\n", enter(terminal, "#vm.vc\t"))
        quit(terminal)
    end)

    it("completes a method of the VM", function()
        local terminal <close> = at_prompt "guest spin -i"
        assert.equal("true\n", enter(terminal, "vm:pau\t()"))
        quit(terminal)
    end)

    it("completes a register, also of a running guest", function()
        local terminal <close> = at_prompt "guest spin -i"
        terminal:send "vm.vcpus[1].regs.rfl\t\t"
        terminal:expect "ags"
        terminal:send "\3"
        terminal:expect "%^C\r\n> "
        quit(terminal)
    end)

    it("lists what fits in columns", function()
        local terminal <close> = at_prompt()
        terminal:send "string.r\t\t"
        terminal:expect "\nrep      reverse\r\n> string%.re"
        assert.equal('"xx"\n', (enter(terminal, "p('x', 2)"):gsub("^xx\n", '"xx"\n')))
        leave(terminal)
    end)
end)

describe_here("Ctrl-C at the prompt", function()
    it("gives up the line", function()
        local terminal <close> = at_prompt()
        terminal:send "x = 1"
        terminal:expect "x = 1"
        terminal:send "\3"
        terminal:expect "%^C\r\n> "
        assert.equal("nil\n", enter(terminal, "x"))
        leave(terminal)
    end)

    it("gives up an unfinished chunk", function()
        local terminal <close> = at_prompt()
        terminal:send "do\r"
        terminal:expect ">> "
        terminal:send "\3"
        terminal:expect "%^C\r\n> "
        assert.equal("2\n", enter(terminal, "1 + 1"))
        leave(terminal)
    end)

    for what, line in pairs {
        ["an endless loop"] = "while true do end",
        ["an endless loop in a coroutine"] = "coroutine.wrap(function() while true do end end)()",
        ["a wait"] = "vmm.sleep(1000)",
    } do
        it("interrupts " .. what, function()
            local terminal <close> = at_prompt()
            terminal:send("print 'begun' " .. line .. "\r")
            terminal:expect "\r\nbegun\r\n"
            terminal:send "\3"
            terminal:expect "^%^Cinterrupted\r\n> "
            assert.equal("2\n", enter(terminal, "1 + 1"))
            leave(terminal)
        end)
    end
end)

describe_here("the terminal of a prompt", function()
    it("is sane when SIGTERM ends it", function()
        local terminal <close> = at_prompt()
        terminal:send "vm"
        terminal:expect "vm"
        terminal:send "\21os.execute 'kill -TERM $PPID'\r"
        assert.matches("code=143\nsane\n$", terminal:finish())
    end)

    it("is sane while it is stopped by Ctrl-Z, and edits again afterwards", function()
        local terminal <close> = at_prompt [[
            set -m
            vmm -i
            fg >/dev/null; echo "code=$?"
        ]]
        terminal:send "6 *"
        terminal:expect "6 %*"
        terminal:send "\26"
        terminal:expect "code=148\r\nsane\r\n"
        terminal:await_setting "-icanon"
        terminal:send " 7\r"
        terminal:expect "42\r\n> "
        terminal:send "\4"
        assert.matches("code=0\n$", terminal:finish())
    end)

    it("may change its size", function()
        local terminal <close> = at_prompt()
        terminal:send "6 *"
        terminal:expect "6 %*"
        assert(os.execute(("stty -F %s cols 60"):format(terminal.path)))
        terminal:expect "\r\n> 6 %*"
        assert.equal("42\n", enter(terminal, " 7"))
        leave(terminal)
    end)

    it("serves without libedit, line by line", function()
        local terminal <close> = at_prompt [[vmm -i -e 'require("vmm.core").line_editor =
            function() return nil, "libedit.so.2 is not installed", "ENOENT" end']]
        assert.equal("42\n", enter(terminal, "6 * 7"))
        terminal:send "x = 1"
        terminal:expect "x = 1"
        terminal:send "\3"
        terminal:expect "%^C\r\n> "
        terminal:send "\4"
        assert.matches("code=0\nsane\n$", terminal:finish())
    end)

    it("says so when there is no libedit", function()
        local terminal <close> = session [[vmm -i -e 'require("vmm.core").line_editor =
            function() return nil, "libedit.so.2 is not installed", "ENOENT" end']]
        terminal:expect "^%[no line editing: libedit.so.2 is not installed%]\r\n> "
        terminal:send "exit\r"
        assert.matches("code=0\nsane\n$", terminal:finish())
    end)
end)

describe_here("a prompt beside a guest", function()
    it("ends with its terminal, and so does the machine", function()
        local terminal <close> = session [[
            echo "script=$PPID."
            (
                trap : HUP
                ./vmm-reference --kernel path=.build/guest/spin.bin,flow=flat -i
                echo "$?" >"$0.end"
            )
            true
        ]]
        local script = terminal:expect "script=(%d+)%."
        terminal:expect "> "
        local ended = terminal.directory .. "/script.end"
        assert(os.execute(("kill -KILL %s; timeout 20 sh -c 'until [ -s %s ]; do :; done'"):format(
            script, ended)))
        local file <close> = assert(io.open(ended))
        assert.equal("129\n", file:read "a")
    end)

    it("keeps what the guest prints until it is left", function()
        local terminal <close> = beside("echo", "ready")
        assert.equal("true\n", enter(terminal, "vm.console:send_line 'echo 3'"))
        assert.equal("true\n", enter(terminal, "vm.console:send 'abc'"))
        assert.equal("3\n", enter(terminal, "#vm.console:expect('abc').match"))
        assert.equal("42\n", enter(terminal, "6 * 7"))
        terminal:send "\4"
        terminal:expect "^%^D\r\nabc"
        terminal:await_setting "-isig"
        terminal:send "end\r"
        assert.equal("PASS\ncode=0\nsane\n", terminal:finish())
    end)

    it("shows the last of what a guest has printed, when that is a lot", function()
        local terminal <close> = beside("echo", "ready")
        enter(terminal, "vm.console:send_line 'echo 9000'")
        enter(terminal, "vm.console:send(('x'):rep(8999) .. '!')")
        assert.equal("1\n", enter(terminal, "#vm.console:expect('!', { timeout = 25 }).match"))
        terminal:send "\4"
        local skipped = terminal:expect "^%^D\r\n%[(%d+) bytes .-%]\r\n"
        terminal:await_setting "-isig"
        terminal:send "end\r"
        local shown = terminal:finish():match "^(x*)!PASS\ncode=0\nsane\n$"
        assert.same({ 9000 - 8192, 8191 }, { math.tointeger(skipped), #(shown or "") })
    end)

    it("gives the guest what was typed after its end", function()
        local terminal <close> = beside("echo", "ready")
        terminal:send "\4end\r"
        assert.equal("^D\nPASS\ncode=0\nsane\n", terminal:finish())
    end)

    it("tells of the guest's end and stays", function()
        local terminal <close> = beside("echo", "ready")
        terminal:send "vm.console:send_line 'end'\r"
        terminal:expect "%[vm has ended: reboot.-%]\r\n"
        terminal:send "\21vm:stopped().reason\r"
        terminal:expect "\r\nreboot\r\n> "
        terminal:send "\4"
        assert.equal("^D\nPASS\ncode=0\nsane\n", terminal:finish())
    end)

    it("tells of the guest's end above the line that is being typed", function()
        local terminal <close> = beside("spin", "spinning")
        enter(terminal, "vmm.spawn(function() vmm.sleep(0.2) vm:stop() end)")
        terminal:send "6 * 7"
        terminal:expect "%[vm has ended: closed%]\r\n> "
        terminal:send "\r"
        terminal:expect "\r\n42\r\n> "
        terminal:send "\4"
        assert.equal("^D\ncode=0\nsane\n", terminal:finish())
    end)

    it("opens again and again", function()
        local terminal <close> = beside("spin", "spinning")
        for i = 1, 5 do
            assert.equal(i * 2 .. "\n", enter(terminal, i .. " * 2"))
            terminal:send "\4"
            terminal:await_setting "-isig"
            terminal:send "\1c"
            terminal:expect "^%^D\r\n\r\n> "
        end
        terminal:send "\4"
        terminal:await_setting "-isig"
        terminal:send "\1x"
        assert.equal("^D\ncode=0\nsane\n", terminal:finish())
    end)
end)

describe_here("-i", function()
    it("has the machine of the command line in scope, running", function()
        local terminal <close> = at_prompt "guest spin --name box -i"
        assert.equal("box\trunning\n", enter(terminal, "vm.name, vm.vcpus[1].state"))
        quit(terminal)
    end)

    it("gives the terminal to the guest when the prompt is left", function()
        local terminal <close> = at_prompt "guest echo -i"
        enter(terminal, "vm.console:expect 'ready'")
        terminal:send "\4"
        terminal:expect "^%^D\r\n%[.-%]\r\nready\r\n"
        terminal:await_setting "-isig"
        terminal:send "echo 2\rab"
        terminal:expect "ab"
        terminal:send "\1c"
        terminal:expect "> "
        assert.equal("2\n", enter(terminal, "1 + 1"))
        terminal:send "\4"
        terminal:await_setting "-isig"
        terminal:send "end\r"
        assert.equal("^D\nPASS\ncode=0\nsane\n", terminal:finish())
    end)

    it("has the machines of the script in scope", function()
        local terminal <close> = at_prompt [[
            cat >"$0.lua" <<'END'
            for i = 1, 2 do
                local vm = assert(vmm.vm { name = "m" .. i, memory = { size_mib = 16 } })
                keep = { vm, keep }
            end
END
            sed -i '1i local vmm = require "vmm"' "$0.lua"
            vmm -i "$0.lua"
        ]]
        assert.equal("m1\tm1\tm2\t2\n",
            enter(terminal, "vm.name, vms[1].name, vms[2].name, #vms"))
        leave(terminal)
    end)
end)

describe("a prompt whose input is no terminal", function()
    local function run(text)
        local directory = os.tmpname()
        os.remove(directory)
        local pipe = assert(io.popen(("HOME=%s XDG_STATE_HOME=%s/state; export HOME XDG_STATE_HOME;"
            .. " printf '%%s' '%s' | ./vmm-reference -i 2>&1; ls %s 2>/dev/null"):format(
            directory, directory, text, directory)))
        local output = pipe:read "a"
        pipe:close()
        return output
    end

    it("shows results and nothing else", function()
        assert.equal("2\n", run "return 1+1\n")
    end)

    it("goes on after an error, to a last line without an end", function()
        assert.equal("prompt:1: unexpected symbol near '?'\n1048576\n", run "?\n1 << 20")
    end)
end)
