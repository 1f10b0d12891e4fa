-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
std = "lua54"
max_line_length = 100
files["tests/spec"] = { std = "lua54+busted", ignore = { "21[13]/vm" } }
files["examples/scenarios"] = { std = "lua54+busted" }
files["tests/guest"] = { std = "lua54+busted" }
exclude_files = { ".build", "lua/meta" }
