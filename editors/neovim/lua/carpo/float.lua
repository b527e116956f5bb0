--- A window with the whole output of an execution, as the server has it.

local ansi = require("carpo.ansi")
local drawing = require("carpo.drawing")
local images = require("carpo.images")
local outputs = require("carpo.outputs")
local server = require("carpo.server")
local state = require("carpo.state")

---@class carpo.Float
---@field execution carpo.Execution
---@field bufnr integer
---@field window integer
---@field spans table<integer, { [1]: integer, [2]: integer, [3]: string|string[] }[]> By row.
---@field pictures carpo.Picture[]
---@field asked integer When the output was last asked for, in milliseconds.
---@field asking boolean

local M = {}

local api = vim.api

local namespace = api.nvim_create_namespace("carpo.float")

--- Milliseconds between two looks at an output that grows.
local INTERVAL = 1000

--- Colours of the rows that are on the screen. Marks for all rows of a long output would take
--- longer than the rest of it.
local provider = {
  on_win = function(_, window)
    return state.float ~= nil and state.float.window == window
  end,
  on_line = function(_, _, bufnr, row)
    for _, each in ipairs(state.float and state.float.spans[row] or {}) do
      api.nvim_buf_set_extmark(bufnr, namespace, row, each[1], {
        end_col = each[2],
        hl_group = each[3],
        ephemeral = true,
      })
    end
  end,
}

---@param all carpo.Output[]
---@return string[] lines
---@return table spans
local function render(all)
  local lines, spans = {}, {}
  for _, output in ipairs(all) do
    for index = 1, outputs.count(output) do
      local line, style, group = outputs.line(output, index)
      local parts, found, column = {}, {}, 0
      for _, chunk in ipairs(ansi.chunks(line or "", style, group)) do
        parts[#parts + 1] = chunk[1]
        found[#found + 1] = { column, column + #chunk[1], chunk[2] }
        column = column + #chunk[1]
      end
      lines[#lines + 1] = table.concat(parts)
      spans[#lines - 1] = found
    end
  end
  return lines, spans
end

---@param float carpo.Float
---@param lines string[]
---@return vim.api.keyset.win_config
local function layout(float, lines)
  local title = (" %s "):format((drawing.label(float.execution)))
  local footer = (" %d lines · q closes "):format(#lines)
  local width = math.max(api.nvim_strwidth(title), api.nvim_strwidth(footer))
  for index = 1, math.min(#lines, 1000) do
    width = math.max(width, api.nvim_strwidth(lines[index]) + 1)
  end
  width = math.min(width, vim.o.columns - 4)
  local height = math.max(1, math.min(#lines, vim.o.lines - 6))
  return {
    relative = "editor",
    row = math.floor((vim.o.lines - height) / 2) - 1,
    col = math.floor((vim.o.columns - width) / 2),
    width = width,
    height = height,
    border = vim.o.winborder ~= "" and vim.o.winborder or "rounded",
    title = title,
    footer = footer,
  }
end

---@param float carpo.Float
---@param raw table[] nbformat outputs
local function fill(float, raw)
  local all = {}
  for _, each in ipairs(raw) do
    if outputs.continues(all[#all], each) then
      outputs.extend(all[#all], each)
    else
      all[#all + 1] = outputs.new(each, math.huge)
    end
  end
  local lines, spans = render(all)
  if #lines == 0 then
    lines = { "(no output)" }
  end
  float.spans = spans
  vim.bo[float.bufnr].modifiable = true
  api.nvim_buf_set_lines(float.bufnr, 0, -1, false, lines)
  vim.bo[float.bufnr].modifiable = false
  api.nvim_win_set_config(float.window, layout(float, lines))
  local row = 0
  for _, output in ipairs(all) do
    if output.picture then
      vim.list_extend(float.pictures, images.show(float.bufnr, row, { output }, {}))
    end
    row = row + outputs.count(output)
  end
end

--- What is known here of the outputs, when the server cannot tell.
---@param execution carpo.Execution
---@param reason string
---@return table[]
local function kept(execution, reason)
  local text = { reason .. "\nThis is what is left here:" }
  for _, output in ipairs(execution.outputs) do
    for index = 1, outputs.count(output) do
      local line = outputs.line(output, index)
      if line or text[#text] ~= "⋯" then
        text[#text + 1] = line or "⋯"
      end
    end
  end
  return { { output_type = "stream", name = "stdout", text = table.concat(text, "\n") } }
end

--- Ask for the output and show it.
---@param float carpo.Float
local function ask(float)
  float.asked, float.asking = vim.uv.now(), true
  local function on_result(problem, result)
    float.asking = false
    if state.float ~= float then
      return
    end
    images.close(float.pictures)
    float.pictures = {}
    if problem then
      fill(float, kept(float.execution, problem))
    else
      fill(float, vim.tbl_get(result, "executions", 1, "outputs") or {})
    end
  end
  if server.client() then
    server.request("carpo/outputs", { executionId = float.execution.id }, on_result)
  else
    on_result("carpo: the server has ended.")
  end
end

--- The execution has changed: show it as it is now, but not all the time.
function M.refresh()
  local float = state.float
  if not float or float.asking then
    return
  end
  local ended =
    not vim.list_contains({ "queued", "running", "waitingInput" }, float.execution.state)
  if ended or vim.uv.now() - float.asked >= INTERVAL then
    ask(float)
  end
end

---@param float carpo.Float
local function on_closed(float)
  images.close(float.pictures)
  if state.float == float then
    state.float = nil
    api.nvim_set_decoration_provider(namespace, {})
  end
end

--- Show the output of an execution; of the one that is shown, enter its window.
---@param execution carpo.Execution
function M.open(execution)
  local shown = state.float
  if shown and shown.execution == execution then
    api.nvim_set_current_win(shown.window)
    return
  elseif shown then
    api.nvim_win_close(shown.window, true)
  end
  local bufnr = api.nvim_create_buf(false, true)
  vim.bo[bufnr].bufhidden = "wipe"
  vim.bo[bufnr].filetype = "carpo-output"
  ---@type carpo.Float
  local float = {
    execution = execution,
    bufnr = bufnr,
    window = 0,
    spans = {},
    pictures = {},
    asked = 0,
    asking = false,
  }
  local config = vim.tbl_extend("force", layout(float, {}), { style = "minimal" })
  float.window = api.nvim_open_win(bufnr, true, config)
  vim.wo[float.window].wrap = true
  state.float = float
  for _, key in ipairs({ "q", "<Esc>" }) do
    vim.keymap.set("n", key, "<Cmd>close<CR>", { buffer = bufnr, nowait = true, silent = true })
  end
  api.nvim_create_autocmd("BufWipeout", {
    buffer = bufnr,
    once = true,
    callback = function()
      on_closed(float)
    end,
  })
  api.nvim_set_decoration_provider(namespace, provider)
  ask(float)
end

return M
