-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The program on a terminal, which it leaves as it found it, whenever and however it ends.

local pty = require "tests.spec.support.pty"

-- What the sessions share:
--   sane         tells whether the terminal's settings are those of the start
--   vmm GUEST..  runs the program, after telling its process id; then its exit code, and sane
local SHELL = [[
found=$(stty -g)
sane() {
    now=$(stty -g)
    [ "$now" = "$found" ] && echo sane || echo "insane: $found $now"
}
program() {
    sh -c 'echo "pid=$$."; exec ./vmm-reference "$@"' vmm "$@"
}
vmm() {
    guest=$1; shift
    program --kernel "path=.build/guest/$guest.bin,flow=flat" "$@"
    echo "code=$?"; sane
}
trap : INT QUIT
]]

local function session(text, seconds)
    return pty.open(SHELL .. text .. "\n", seconds)
end

local function kill(signal, pid)
    assert(os.execute(("kill -%s %s"):format(signal, pid)))
end

local describe_here = pty.available() and describe or pending

describe_here("on a terminal", function()
    it("every key reaches the guest, but for Ctrl-A", function()
        local terminal <close> = session "vmm echo"
        terminal:expect "ready\r\n"
        terminal:send "echo 6\r\3\26\28\4\17\19"
        terminal:expect "^\3\26\28\4\17\19"
        terminal:send "echo 2\r\1\1x"
        terminal:expect "^\1x"
        terminal:send "end\r"
        assert.equal("PASS\ncode=0\nsane\n", terminal:finish())
    end)

    it("Ctrl-A x quits", function()
        local terminal <close> = session "vmm spin"
        terminal:expect "spinning\r\n"
        terminal:send "\1x"
        assert.equal("code=0\nsane\n", terminal:finish())
    end)

    it("Ctrl-A x quits, whatever was typed just before", function()
        local terminal <close> = session "vmm spin"
        terminal:expect "spinning\r\n"
        terminal:send "\1a\1\0\1x"
        assert.equal("code=0\nsane\n", terminal:finish())
    end)

    it("Ctrl-A c opens a prompt, and the keys are not the guest's until it is left", function()
        local terminal <close> = session "vmm echo"
        terminal:expect "ready\r\n"
        terminal:send "echo 4\rab"
        terminal:expect "^ab"
        terminal:send "\1c"
        terminal:expect "^\r\n> "
        terminal:send "vm.name, 6 * 7\r"
        terminal:expect "^vm.name, 6 %* 7\r\nvm\t42\r\n> "
        terminal:send "vm.vcpus[1].state\r"
        terminal:expect "\r\nrunning\r\n> "
        terminal:send "\4"
        terminal:await_setting "-isig"
        terminal:send "cd"
        terminal:expect "cd"
        terminal:send "end\r"
        assert.equal("PASS\ncode=0\nsane\n", terminal:finish())
    end)

    it("a prompt stays when its machine has ended", function()
        local terminal <close> = session "vmm spin"
        terminal:expect "spinning\r\n"
        terminal:send "\1c"
        terminal:expect "> "
        terminal:send "vm:stop() and vm:wait().reason\r"
        terminal:expect "\nclosed\r\n%[vm has ended: closed%]\r\n> "
        terminal:send "\4"
        assert.equal("^D\ncode=0\nsane\n", terminal:finish())
    end)

    it("keys typed before the start reach the guest", function()
        local terminal <close> = session "vmm echo"
        terminal:send "end\n"
        terminal:expect "ready\r\n"
        assert.equal("PASS\ncode=0\nsane\n", terminal:finish())
    end)

    for signal, code in pairs { INT = 130, TERM = 143, HUP = 129, QUIT = 131 } do
        it(("SIG%s ends it with %d"):format(signal, code), function()
            local terminal <close> = session "vmm spin"
            local pid = terminal:expect "pid=(%d+)%."
            terminal:expect "spinning\r\n"
            kill(signal, pid)
            assert.equal(("code=%d\nsane\n"):format(code), terminal:finish())
        end)
    end

    for signal, code in pairs { SEGV = 139, ABRT = 134, BUS = 135, FPE = 136, ILL = 132 } do
        it(("SIG%s kills it, and leaves the terminal sane"):format(signal), function()
            local terminal <close> = session "ulimit -c 0; vmm spin"
            local pid = terminal:expect "pid=(%d+)%."
            terminal:expect "spinning\r\n"
            kill(signal, pid)
            assert.matches(("code=%d\nsane\n$"):format(code), terminal:finish())
        end)
    end

    it("SIGTSTP stops it sane, SIGCONT makes the terminal the guest's again", function()
        local terminal <close> = session [[
            set -m
            vmm echo
            fg >/dev/null; echo "code=$?"; sane
        ]]
        local pid = terminal:expect "pid=(%d+)%."
        terminal:expect "ready\r\n"
        kill("TSTP", pid)
        terminal:expect "code=148\r\nsane\r\n"
        terminal:await_setting "-icanon"
        terminal:send "echo 4\r\3\26ok"
        terminal:expect "^\3\26ok"
        terminal:send "end\r"
        assert.equal("PASS\ncode=0\nsane\n", terminal:finish())
    end)

    it("a machine that fails leaves it sane", function()
        local terminal <close> = session "vmm triple_fault"
        assert.matches("triple fault.*\ncode=1\nsane\n$", terminal:finish())
    end)

    -- A script with a machine on the terminal, then something in its life.
    local function script(rest)
        return ([[
            ./vmm-reference -e '
                local vm = assert(vmm.vm { console = "stdio",
                    kernel = { path = ".build/guest/spin.bin", flow = "flat" } })
                vm:start()
                vm.console:expect "spinning"
                %s
            ' 2>/dev/null; echo "code=$?"; sane
        ]]):format(rest)
    end

    it("a script that fails leaves it sane", function()
        local terminal <close> = session(script [[error "on purpose"]])
        assert.equal("spinning\ncode=1\nsane\n", terminal:finish())
    end)

    it("a script that calls os.exit leaves it sane", function()
        local terminal <close> = session(script "os.exit(7)")
        assert.equal("spinning\ncode=7\nsane\n", terminal:finish())
    end)

    it("a machine that a script closes gives it back", function()
        local terminal <close> = session("export found; " .. script [[
            assert(vm.console.core:flush(5)) -- to the terminal as well
            os.execute "stty -a | grep -o -e -icanon"
            vm:close()
            os.execute "test $(stty -g) = $found && echo given back"
        ]])
        assert.equal("spinning\n-icanon\ngiven back\ncode=0\nsane\n", terminal:finish())
    end)

    it("Ctrl-C at the prompt of -i does not end it, Ctrl-\\ does with 131", function()
        local terminal <close> = session [[./vmm-reference -i; echo "code=$?"; sane]]
        terminal:expect "> "
        terminal:send "6 * 7\r"
        terminal:expect "42\r\n> "
        terminal:send "\3"
        terminal:expect "%^C\r\n> "
        terminal:send "\28"
        assert.matches("code=131\nsane\n$", terminal:finish())
    end)
end)

describe_here("a signal at any moment", function()
    -- Delays in milliseconds that reach from the start over the guest's life to its end.
    local ROUNDS, LONGEST = 40, 60

    for signal, code in pairs { INT = 130, TERM = 143 } do
        it(("ends it with %d (SIG%s) and leaves the terminal sane"):format(code, signal),
            function()
                local terminal <close> = session(([[
                    for i in $(seq %d); do
                        : >"$0.pid"
                        {
                            until [ -s "$0.pid" ]; do :; done
                            sleep "$(printf 0.%%03d $((RANDOM %% %d)))"
                            kill -%s "$(cat "$0.pid")"
                        } 2>/dev/null &
                        sh -c 'echo $$ >"$0"; exec ./vmm-reference --kernel "$@"' "$0.pid" \
                            path=.build/guest/spin.bin,flow=flat >/dev/null
                        echo "code=$?"; sane; wait
                    done
                ]]):format(ROUNDS, LONGEST, signal), 60)
                local codes, sane = {}, 0
                for word in terminal:finish():gmatch "[^\n]+" do
                    if word:match "^code=" then
                        codes[word] = (codes[word] or 0) + 1
                    elseif word == "sane" then
                        sane = sane + 1
                    end
                end
                assert.same({ ["code=" .. code] = ROUNDS }, codes)
                assert.equal(ROUNDS, sane)
            end)
    end
end)
