--- Plays a user of the plugin for tests/benchmarks/neovim.py, in a terminal: reads names of rounds
--- from the socket that $CARPO_ROUNDS names, and writes the times of each, in milliseconds, as a
--- line.

package.path = vim.fs.dirname(vim.fs.abspath(debug.getinfo(1, "S").source:sub(2)))
  .. "/?.lua;"
  .. package.path
local test = require("support")

local TIMES = 20
local SHORT, FLOOD = 3, 6

test.setup()
local bufnr = test.open("script.py", {
  "# %%",
  "count = iter(range(10**9))",
  "# %%",
  "next(count)",
  "# %%",
  "for i in range(20_000): print(i, flush=True)",
  "print('end', next(count))",
})
test.run(1, "run-cell")
test.until_drawn(bufnr, 1, "✓")
local count = -1

--- Run the cell of a row until what it has counted is on the screen.
---@param row integer
---@param before string
local function run(row, before)
  count = count + 1
  local wanted = before .. count
  test.run(row, "run-cell")
  vim.wait(test.DEADLINE, function()
    local drawn = test.drawn(bufnr)[row]
    return drawn
      and vim.startswith(drawn.label, "✓")
      and (drawn.label .. " " .. table.concat(drawn.lines, " ")):find(wanted .. "$") ~= nil
  end, 1)
  vim.cmd.redraw()
end

--- The longest time in which Neovim could do nothing else while it does something.
---@param what fun()
---@return number[]
local function held_up(what)
  local longest, last = 0, vim.uv.hrtime()
  local timer = assert(vim.uv.new_timer())
  timer:start(1, 1, function()
    local now = vim.uv.hrtime()
    longest, last = math.max(longest, now - last), now
  end)
  what()
  timer:close()
  return { longest / 1e6 }
end

local rounds = {
  short = function()
    local times = {}
    for _ = 1, TIMES do
      local start = vim.uv.hrtime()
      run(SHORT, "")
      times[#times + 1] = (vim.uv.hrtime() - start) / 1e6
    end
    return times
  end,
  flood = function()
    return held_up(function()
      run(FLOOD, "end ")
    end)
  end,
  idle = function()
    return held_up(function()
      vim.wait(1000, function() end, 1000)
    end)
  end,
}

local pipe = assert(vim.uv.new_pipe())
pipe:connect(vim.env.CARPO_ROUNDS, function(problem)
  assert(not problem, problem)
  pipe:read_start(vim.schedule_wrap(function(_, name)
    if name then
      pipe:write(table.concat(rounds[vim.trim(name)](), " ") .. "\n")
    else
      vim.cmd("qa!")
    end
  end))
end)
