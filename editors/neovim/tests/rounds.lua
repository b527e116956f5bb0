--- Plays a user of a plugin for tests/benchmarks/neovim.py, in a terminal: reads names of rounds
--- from the socket that $CARPO_ROUNDS names, and answers each with a line of JSON: its times in
--- milliseconds, or the problem that there was. How the plugin is used, the module that
--- $CARPO_PLAYER names knows: with_carpo.lua or with_molten.lua.

package.path = vim.fs.dirname(vim.fs.abspath(debug.getinfo(1, "S").source:sub(2)))
  .. "/?.lua;"
  .. package.path

---@class Player
---@field open fun(lines: string[]) Opens a Python file in which cells can be run.
---@field run fun(first: integer, last: integer) Runs the cell in these rows, from 0.
---@field drawn fun(last: integer): string? The end of what is drawn of a cell that has ended.

local DEADLINE = require("support").DEADLINE
local player = require(vim.env.CARPO_PLAYER) ---@type Player

local TIMES = 20
--- Milliseconds by which each pause before a result is longer than the one before. A plugin that
--- looks for results twice a second would else be met right behind its look each time.
local PAUSE = 25
local FIRST, SHORT, FLOOD = { 1, 3 }, { 5, 5 }, { 7, 8 }

local count = -1

--- Run a cell until its end is on the screen.
---@param cell integer[]
---@param wanted string
local function run(cell, wanted)
  player.run(unpack(cell))
  local held = vim.wait(DEADLINE, function()
    local drawn = player.drawn(cell[2])
    return drawn ~= nil and drawn:find(wanted .. "$") ~= nil
  end, 1)
  assert(held, ("%q was never drawn"):format(wanted))
  vim.cmd.redraw()
end

--- Run a cell that counts.
---@param cell integer[]
---@param before string
local function run_next(cell, before)
  count = count + 1
  run(cell, before .. count)
end

---@param what fun()
---@return number
local function timed(what)
  local start = vim.uv.hrtime()
  what()
  return (vim.uv.hrtime() - start) / 1e6
end

--- The longest time in which Neovim could do nothing else while it does something. The timer alone
--- would not tell: it goes on while Neovim waits for the answer of a plugin's process, and keys do
--- not.
---@param what fun()
---@return number
local function held_up(what)
  local longest, last, asked = 0, vim.uv.hrtime(), false
  local function look()
    local now = vim.uv.hrtime()
    longest, last, asked = math.max(longest, now - last), now, false
  end
  local timer = assert(vim.uv.new_timer())
  timer:start(1, 1, function()
    if not asked then
      asked = true
      vim.schedule(look)
    end
  end)
  what()
  timer:close()
  look()
  return longest / 1e6
end

local function flood()
  run_next(FLOOD, "end ")
end

local rounds = {
  open = function()
    player.open({
      "# %%",
      "count = iter(range(10**9))",
      -- Our server has ipykernel do so anyhow; else it drops what is not taken in time, and might
      -- drop the end.
      "thread = get_ipython().kernel.iopub_thread",
      "thread.schedule(lambda: thread.socket.set_hwm(0))",
      "# %%",
      "next(count)",
      "# %%",
      "for i in range(20_000): print(i, flush=True)",
      "print(f'end {next(count)}')", -- at once: molten-nvim draws each message on lines of its own
    })
    run(FIRST, "")
    return {}
  end,
  short = function()
    local times = {}
    for number = 1, TIMES do
      vim.wait(number * PAUSE)
      times[number] = timed(function()
        run_next(SHORT, "")
      end)
    end
    return times
  end,
  flood = function()
    return { timed(flood) }
  end,
  held_up = function()
    return { held_up(flood) }
  end,
  idle = function()
    return {
      held_up(function()
        vim.wait(1000)
      end),
    }
  end,
}

---@param name string
---@return { times?: number[], problem?: string }
local function play(name)
  local fine, result = xpcall(rounds[name], debug.traceback)
  -- Away from the cell: who draws its output again and again would be busy in others' rounds.
  vim.api.nvim_win_set_cursor(0, { 1, 0 })
  return fine and { times = result } or { problem = result }
end

local pipe = assert(vim.uv.new_pipe())
pipe:connect(vim.env.CARPO_ROUNDS, function(problem)
  assert(not problem, problem)
  pipe:read_start(vim.schedule_wrap(function(_, name)
    if name then
      pipe:write(vim.json.encode(play(vim.trim(name))) .. "\n")
    else
      vim.cmd("qa!")
    end
  end))
end)
