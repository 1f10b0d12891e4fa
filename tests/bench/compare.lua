-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Runs commands in interleaved rounds and prints their figures side by side.

local process = require "vmm.process"
local vmm = require "vmm"

local compare = {}

-- Are Linux guests to be compared in the lab? They are where this host has no KVM, or would take
-- minutes a boot.
function compare.needs_lab()
    local kvm = vmm.kvm()
    if kvm and kvm:hardware() then return false end
    print "This host offers no VMX or SVM: the next comparisons run in the lab.\n"
    return true
end

-- One run: the number on the first line that the command prints, divided by scale, or nil.
local function measure(contender, scale)
    local argv = table.move(contender.prefix or {}, 1, #(contender.prefix or {}), 1, {})
    table.move(contender.command, 1, #contender.command, #argv + 1, argv)
    local figure = tonumber(process.line(argv, { stderr = "inherit" }))
    return figure and figure / (scale or 1)
end

-- Of a sorted array of numbers, not empty.
function compare.median(sorted)
    local middle = #sorted // 2
    if #sorted % 2 == 1 then
        return sorted[middle + 1]
    end
    return (sorted[middle] + sorted[middle + 1]) / 2
end

local function print_commands(contenders)
    for _, contender in ipairs(contenders) do
        print(("  %-22s %s"):format(contender.name, table.concat(contender.command, " ")))
    end
end

-- Median of how much more than the yardstick in the same round. More steady than the difference
-- of the medians: what slows the host slows all of a round.
local function excess(contender, yardstick)
    local differences = {}
    for round, figure in pairs(contender.by_round) do
        local base = yardstick.by_round[round]
        if base then differences[#differences + 1] = figure - base end
    end
    table.sort(differences)
    return #differences > 0 and compare.median(differences) or 0 / 0
end

local function print_figures(contenders, unit)
    local yardstick
    print(("\n  %-22s %10s %10s %10s %8s %8s"):format(unit, "median", "min", "max", "ratio",
        "more"))
    for _, contender in ipairs(contenders) do
        local figures = contender.figures
        if #figures == 0 then
            print(("  %-22s no figure: it failed in every round"):format(contender.name))
        else
            table.sort(figures)
            local middle = compare.median(figures)
            yardstick = yardstick or middle
            local failures = contenders.rounds - #figures
            print(("  %-22s %10.1f %10.1f %10.1f %8.2f %8.2f%s"):format(contender.name, middle,
                figures[1], figures[#figures], middle / yardstick,
                excess(contender, contenders[1]), failures == 0 and ""
                or ("  (%d of %d runs failed)"):format(failures, contenders.rounds)))
        end
    end
    print()
end

-- contenders: an array of { name =, command = argv [, prefix = argv to run it by] }, the first
-- being the yardstick of the ratios, and of how much more the others take; and title, unit, rounds,
-- scale (of the figures; 1).
-- Each round runs all of them, beginning with another one each time.
function compare.run(contenders)
    print(("%s (%d interleaved rounds)"):format(contenders.title, contenders.rounds))
    print_commands(contenders)
    for _, contender in ipairs(contenders) do
        contender.figures, contender.by_round = {}, {}
    end
    for round = 1, contenders.rounds do
        for step = 0, #contenders - 1 do
            local contender = contenders[(round + step) % #contenders + 1]
            local figure = measure(contender, contenders.scale)
            table.insert(contender.figures, figure)
            contender.by_round[round] = figure
        end
    end
    print_figures(contenders, contenders.unit)
end

-- QEMU's microvm with KVM, as its documentation advises to start it fast: no default devices, no
-- option ROMs, no legacy devices but the serial port and the RTC (for want of which Debian's
-- kernel waits for 25 s).
-- options: kernel (an ELF with a PVH note), initrd, cmdline, memory_mib (256), serial (stdio).
function compare.microvm(options)
    local argv = {
        "qemu-system-x86_64",
        "-M", "microvm,accel=kvm,x-option-roms=off,pit=off,pic=off,isa-serial=on,rtc=on",
        -- QEMU 7.2 dies where the host's KVM refuses this MSR to it.
        "-cpu", "host,arch-capabilities=off",
        "-m", tostring(options.memory_mib or 256), "-nodefaults", "-no-user-config", "-no-reboot",
        "-display", "none", "-serial", options.serial or "stdio",
        "-kernel", options.kernel,
    }
    for _, name in ipairs { "initrd", "cmdline" } do
        if options[name] then
            argv[#argv + 1] = name == "cmdline" and "-append" or "-initrd"
            argv[#argv + 1] = options[name]
        end
    end
    return argv
end

return compare
