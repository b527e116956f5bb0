--- How rounds.lua uses this plugin, or that of another revision: $CARPO_PLUGIN is its folder.

local test = require("support")

local M = {} ---@type Player

function M.open(lines)
  test.plugin = vim.env.CARPO_PLUGIN
  test.setup()
  test.open("script.py", lines)
end

function M.run(_, last)
  test.run(last, "run-cell")
end

function M.drawn(last)
  local drawn = test.drawn(0)[last]
  if drawn and vim.startswith(drawn.label, "✓") then
    return drawn.label .. " " .. table.concat(drawn.lines, " ")
  end
end

return M
