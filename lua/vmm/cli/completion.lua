-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The completion script for bash, made from the option tables.

local features = require "vmm.features"
local options = require "vmm.options"
local help = require "vmm.cli.help"

local completion = {}

-- What bash calls.  Its word list splits at "=", so a word is put together again
-- up to the cursor, and what is offered loses what bash keeps in front of it.
local HEAD = [=[
# bash completion for vmm-reference: source it, or install it as
# /usr/share/bash-completion/completions/vmm-reference
_vmm_reference()
{
    local words=() word glue= i
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == = && ${#words[@]} -gt 0 ]]; then
            words[-1]+==
            glue=1
        elif [[ $glue ]]; then
            words[-1]+=$word
            glue=
        else
            words+=("$word")
        fi
    done
    local cur=${COMP_WORDS[COMP_CWORD]}
    [[ $cur == = ]] && cur=
    word=${words[-1]}
    local kept=${word%"$cur"} last=$((${#words[@]} - 1)) option= command=
    for ((i = 0; i < last; i++)); do
        case ${words[i]} in
        @TAKERS@)
            ((++i == last)) && option=${words[last - 1]}
            ;;
        -?*) ;;
        *) word=$cur kept= command=${words[i]} last=$i ;;
        esac
    done
    if [[ $command == report && $word == -* ]]; then
        _vmm_reference_offer "--html --junit --tap --jsonl --help" "$word" "" ""
    elif [[ $command == test && $word == -* ]]; then
        _vmm_reference_offer "@TEST@" "$word" "" ""
    elif [[ $option ]]; then
        _vmm_reference_value "$option" "$word" "$kept"
    elif [[ $word == --*=* ]]; then
        _vmm_reference_value "${word%%=*}" "${word#*=}" "${kept#*=}"
    elif [[ $word == -* && $last -eq $((${#words[@]} - 1)) ]]; then
        _vmm_reference_offer "@NAMES@" "$word" "" ""
    else
        _vmm_reference_offer @files "$word" "" ""
    fi
}

# Offer what may complete $2, the value of option $1; bash keeps $3 of it.
_vmm_reference_value()
{
    local value=$2 choices=
    local part=${value##*,}
    local head=${value%"$part"}
    case $1 in
]=]

local MIDDLE = [=[
    esac
    if [[ $choices == *=* && $part == *=* ]]; then
        head+=${part%%=*}=
        case $1:${part%%=*} in
]=]

local TAIL = [=[
        *) choices="" ;;
        esac
        part=${part#*=}
    fi
    _vmm_reference_offer "$choices" "$part" "$3" "$head"
}

# Offer words of $1 (or, if it is @files, files) that complete $2, with $4 before
# and without the $3 that bash keeps.
_vmm_reference_offer()
{
    local IFS=$'\n' found i
    if [[ $1 == @files ]]; then
        compopt -o filenames 2>/dev/null
        found=($(compgen -f -- "$2"))
    else
        found=($(compgen -W "${1// /$'\n'}" -- "$2"))
    fi
    for i in "${!found[@]}"; do
        found[i]=$4${found[i]}
        found[i]=${found[i]#"$3"}
        [[ ${found[i]} == *= ]] && compopt -o nospace 2>/dev/null
    done
    COMPREPLY=("${found[@]}")
}

complete -F _vmm_reference vmm-reference
]=]

--- What may be written for a parameter: words, "@files" or nothing.
local function choices_of(param)
    if param.choices then
        return table.concat(param.choices, " ")
    elseif param.type == "boolean" then
        return "true false"
    end
    return param.type == "path" and "@files" or ""
end

local function assignments(list)
    local words = {}
    for i, entry in ipairs(list) do
        words[i] = entry.name .. (entry.metavar and "=" or "")
    end
    return table.concat(words, " ")
end

--- Add an arm to a case statement, unless it would offer nothing.
local function add_arm(arms, patterns, choices)
    if choices ~= "" then
        arms[#arms + 1] = ("    %s) choices=\"%s\" ;;\n"):format(
            table.concat(patterns, "|"), choices)
    end
end

--- "--vcpus:num", "--vcpu:num": every spelling of a parameter.
local function places(spellings, param)
    local list = {}
    for _, name in ipairs(spellings) do
        for _, key in ipairs(options.names({ param }, true)) do
            list[#list + 1] = name .. ":" .. key
        end
    end
    return list
end

local function add_value(option, spellings, values, keys)
    local parts = option.params or option.forms
    add_arm(values, spellings,
        parts and assignments(parts) or choices_of(option))
    for _, param in ipairs(option.params or {}) do
        add_arm(keys, places(spellings, param), choices_of(param))
    end
    for _, form in ipairs(option.forms or {}) do
        add_arm(keys, places(spellings, form), form.metavar and "@files" or "")
    end
end

--- The script that `--completion bash` prints.
function completion.bash()
    local names, takers, values, keys = {}, {}, {}, {}
    for _, option in ipairs(options.list) do
        local spellings = help.spelling(option)
        table.move(spellings, 1, #spellings, #names + 1, names)
        if not option.flag then
            table.move(spellings, 1, #spellings, #takers + 1, takers)
            add_value(option, spellings, values, keys)
        end
    end
    local head = HEAD:gsub("@(%u+)@", {
        TAKERS = table.concat(takers, "|"),
        NAMES = table.concat(names, " "),
        TEST = features.has "scenario"
            and table.concat(require("vmm.test.options").names(), " ") or "",
    })
    return table.concat { head, table.concat(values), MIDDLE,
        table.concat(keys), TAIL }
end

return completion
