--- What `:Carpo` and the <Plug> maps do.

local cells = require("carpo.cells")
local kernels = require("carpo.kernels")
local prompts = require("carpo.prompts")
local server = require("carpo.server")

---@class carpo.Command
---@field about string
---@field run fun(bufnr: integer, place: carpo.CommandPlace)

---@class carpo.CommandPlace
---@field position lsp.Position The cursor's.
---@field range? lsp.Range What is selected, or the range of an Ex command.

local M = {}

local api = vim.api

--- Position of a byte of a line, in the server's units.
---@param row integer
---@param column integer
---@return lsp.Position
local function position(row, column)
  local client = server.client()
  local line = api.nvim_buf_get_lines(0, row, row + 1, false)[1] or ""
  local encoding = client and client.initialized and client.offset_encoding or "utf-8"
  local character = vim.str_utfindex(line, encoding, math.min(column, #line), false)
  return { line = row, character = character }
end

---@return lsp.Position
local function cursor()
  local at = api.nvim_win_get_cursor(0)
  return position(at[1] - 1, at[2])
end

--- The lines of an Ex range, as text has them.
---@param first integer From 1.
---@param last integer
---@return lsp.Range
local function lines(first, last)
  local text = api.nvim_buf_get_lines(0, last - 1, last, false)[1] or ""
  return { start = position(first - 1, 0), ["end"] = position(last - 1, #text) }
end

--- What is selected in visual mode.
---@return lsp.Range
local function selection()
  local from, to = vim.fn.getpos("v"), vim.fn.getpos(".")
  if from[2] > to[2] or (from[2] == to[2] and from[3] > to[3]) then
    from, to = to, from
  end
  if vim.fn.mode() ~= "v" then
    return lines(from[2], to[2])
  end
  local text = api.nvim_buf_get_lines(0, to[2] - 1, to[2], false)[1] or ""
  -- The last character belongs to it, however many bytes it has.
  local stop = math.min(to[3], #text)
  stop = stop == 0 and 0 or stop + vim.str_utf_end(text, stop)
  return { start = position(from[2] - 1, from[3] - 1), ["end"] = position(to[2] - 1, stop) }
end

---@param command string
---@return fun(bufnr: integer, place: carpo.CommandPlace)
local function send(command)
  return function(bufnr, place)
    server.command(
      bufnr,
      command,
      place.range and { range = place.range } or { position = place.position }
    )
  end
end

---@param bufnr integer
---@param place carpo.CommandPlace
local function output(bufnr, place)
  local execution = cells.at(bufnr, place.position.line)
  if execution then
    require("carpo.float").open(execution)
  else
    vim.notify("carpo: nothing has been run at this line.", vim.log.levels.WARN)
  end
end

---@param bufnr integer
local function list(bufnr)
  local found = kernels.of(bufnr)
  local words = vim.tbl_map(function(kernel)
    return ("%s: %s, %s"):format(kernel.display_name, kernel.status, kernel.kernel_id)
  end, found)
  vim.notify(words[1] and table.concat(words, "\n") or "carpo: the buffer has no kernel yet.")
end

---@type table<string, carpo.Command>
M.commands = {
  ["run-cell"] = { about = "Run the cell at the cursor", run = send("runCell") },
  ["run-cell-and-advance"] = {
    about = "Run the cell at the cursor and go to the next one",
    run = send("runCellAndAdvance"),
  },
  ["run-statement"] = { about = "Run the statement at the cursor", run = send("runStatement") },
  ["run-selection"] = { about = "Run what is selected", run = send("runSelection") },
  ["run-above"] = { about = "Run all cells above the cursor's", run = send("runAbove") },
  ["run-below"] = { about = "Run the cursor's cell and all below it", run = send("runBelow") },
  ["run-all"] = { about = "Run all cells", run = send("runAll") },
  ["restart-and-run-all"] = {
    about = "Restart the kernels and run all cells",
    run = send("restartAndRunAll"),
  },
  interrupt = { about = "Interrupt what runs", run = send("interrupt") },
  restart = { about = "Restart the buffer's kernels", run = send("restartKernel") },
  shutdown = { about = "End the buffer's kernels", run = send("shutdownKernel") },
  select = { about = "Choose the kernel of the buffer", run = send("selectKernel") },
  answer = { about = "Answer the prompt that waits", run = prompts.ask },
  output = { about = "Show all output of the code at the cursor", run = output },
  results = { about = "Show the file with all results", run = send("showOutput") },
  clear = {
    about = "Clear the outputs of the code at the cursor",
    run = function(bufnr, place)
      send("clearOutput")(bufnr, place)
      cells.clear(bufnr, place.position.line)
    end,
  },
  ["clear-all"] = {
    about = "Clear all outputs of the buffer",
    run = function(bufnr)
      server.command(bufnr, "clearOutput")
      cells.clear(bufnr)
    end,
  },
  export = { about = "Write a notebook of cells and outputs", run = send("exportNotebook") },
  kernels = { about = "Tell which kernels the buffer has", run = list },
}

---@param name string
---@param place carpo.CommandPlace
local function run(name, place)
  local ok, problem = pcall(M.commands[name].run, api.nvim_get_current_buf(), place)
  if not ok then
    vim.notify(tostring(problem), vim.log.levels.ERROR)
  end
end

--- What a key does: the command at the cursor, or for what is selected.
---@param name string
function M.key(name)
  local selected = api.nvim_get_mode().mode:find("^[vV\22]") ~= nil
  local place = { position = cursor(), range = selected and selection() or nil }
  if selected then
    vim.cmd.normal({ "\27", bang = true })
  end
  run(name, place)
end

--- What `:Carpo` does.
---@param given vim.api.keyset.create_user_command.command_args
function M.ex(given)
  local name = given.fargs[1] or (given.range > 0 and "run-selection" or "run-cell")
  if not M.commands[name] then
    vim.notify(
      ("carpo: %q is no command; :Carpo <Tab> lists them"):format(name),
      vim.log.levels.ERROR
    )
    return
  end
  local place = { position = cursor() }
  if given.range > 0 then
    place.range = lines(given.line1, given.line2)
  end
  run(name, place)
end

--- The names of commands that begin with what was typed.
---@param lead string
---@return string[]
function M.complete(lead)
  local names = vim.tbl_filter(function(name)
    return vim.startswith(name, lead)
  end, vim.tbl_keys(M.commands))
  table.sort(names)
  return names
end

return M
