--- What is drawn of an execution: its state, its outputs, a sign.
---
--- Extmarks follow the text by themselves: one spans the code that was run, one on its first line
--- carries the sign, and one at the end of its last line carries the state and the outputs. What is
--- typed behind that line is new, and stands below the outputs.

local ansi = require("carpo.ansi")
local images = require("carpo.images")
local outputs = require("carpo.outputs")
local state = require("carpo.state")

---@class carpo.Mark
---@field bufnr integer
---@field code integer? The extmark over the code.
---@field sign integer? That with the sign; signs on a span would stand on each of its lines.
---@field text integer? That with the outputs, while they are shown.
---@field lines string[] The code that was run: lines of the buffer.
---@field row integer? Where the code was when the buffer was unloaded.
---@field old table? What an earlier run has left, shown until this one has something to show.
---@field shown table? The virtual lines that are shown.
---@field pictures carpo.Picture[]

local M = {}

local api = vim.api

M.namespace = api.nvim_create_namespace("carpo")

local LABELS = {
  queued = { "○ queued", "CarpoQueued" },
  running = { "● running", "CarpoRunning" },
  waitingInput = { "? waits for input", "CarpoRunning" },
  aborted = { "– not run", "CarpoQueued" },
  died = { "† the kernel died", "CarpoFailed" },
}
local GROUPS = {
  queued = "CarpoQueued",
  running = "CarpoRunning",
  waitingInput = "CarpoRunning",
  ok = "CarpoDone",
  error = "CarpoFailed",
  aborted = "CarpoQueued",
  died = "CarpoFailed",
}

---@param milliseconds number?
---@return string
local function duration(milliseconds)
  if not milliseconds then
    return ""
  elseif milliseconds < 1000 then
    return (" %d ms"):format(milliseconds)
  elseif milliseconds < 60000 then
    return (" %.1f s"):format(milliseconds / 1000)
  end
  local seconds = math.floor(milliseconds / 1000)
  return (" %d min %d s"):format(math.floor(seconds / 60), seconds % 60)
end

--- The words for an execution's state, and their highlight group.
---@param execution carpo.Execution
---@return string text
---@return string group
function M.label(execution)
  local known = LABELS[execution.state]
  if known then
    return known[1], known[2]
  end
  local count = execution.count and (" [%d]"):format(execution.count) or ""
  local took = duration(execution.duration)
  if execution.state == "ok" then
    return "✓" .. count .. took, "CarpoDone"
  end
  local name = vim.tbl_get(execution, "error", "ename")
  return "✗ " .. (name ~= "" and name or "error") .. count .. took, "CarpoFailed"
end

--- The line of an execution's outputs with a number from 1, as chunks; nil where it is not kept.
---@param execution carpo.Execution
---@param index integer
---@param total integer
---@return table?
local function chunks_of(execution, index, total)
  local all = execution.outputs
  local forward = index <= total / 2
  local left = forward and index or total - index + 1
  -- From the end that is nearer: what was skipped lies between.
  for at = forward and 1 or #all, forward and #all or 1, forward and 1 or -1 do
    local count = outputs.count(all[at])
    if left <= count then
      local line, style, group = outputs.line(all[at], forward and left or count - left + 1)
      if not line then
        return nil
      end
      local most = state.config.output.max_columns
      local chunks = {}
      for _, chunk in ipairs(ansi.chunks(line, style, group)) do
        local text = vim.fn.strcharpart(chunk[1], 0, most)
        most = most - vim.fn.strchars(text)
        chunks[#chunks + 1] = { text, chunk[2] }
        if most <= 0 then
          break
        end
      end
      return chunks
    end
    left = left - count
  end
end

--- What is drawn below the code: all lines if they fit, else the first and the last ones.
---@param execution carpo.Execution
---@return table virt_lines
local function virtual_lines(execution)
  local total = execution.skipped
  for _, output in ipairs(execution.outputs) do
    total = total + outputs.count(output)
  end
  local most = state.config.output.max_lines
  local bar = { "▏ ", GROUPS[execution.state] }
  local found = {}
  local function add(chunks)
    if chunks then
      table.insert(chunks, 1, bar)
      found[#found + 1] = chunks
    end
  end
  local first = total <= most and total or math.ceil((most - 1) / 2)
  local last = total <= most and 0 or most - 1 - first
  for index = 1, first do
    add(chunks_of(execution, index, total))
  end
  if total > most then
    local hidden = total - first - last
    add({ { ("⋯ %d more lines, `:Carpo output` shows them"):format(hidden), "CarpoNote" } })
    for index = total - last + 1, total do
      add(chunks_of(execution, index, total))
    end
  end
  return found
end

--- The rows of an execution's code now, first and last; nil when the code is gone.
---@param mark carpo.Mark
---@return integer? first
---@return integer? last
function M.rows(mark)
  if not api.nvim_buf_is_loaded(mark.bufnr) then
    return nil
  end
  local found =
    api.nvim_buf_get_extmark_by_id(mark.bufnr, M.namespace, mark.code, { details = true })
  local details = found[3]
  if not details or details.invalid then
    return nil
  end
  local last = details.end_row
  -- When the last line has been deleted, the end is at the begin of the line below it.
  if details.end_col == 0 and last > found[1] and mark.lines[#mark.lines] ~= "" then
    last = last - 1
  end
  return found[1], math.min(last, api.nvim_buf_line_count(mark.bufnr) - 1)
end

--- Lay the marks over code.
---@param mark carpo.Mark
---@param first integer
---@param last integer
---@param name carpo.State.Name
function M.span(mark, first, last, name)
  local line = api.nvim_buf_get_lines(mark.bufnr, last, last + 1, false)[1] or ""
  mark.code = api.nvim_buf_set_extmark(mark.bufnr, M.namespace, first, 0, {
    id = mark.code,
    end_row = last,
    end_col = #line,
    right_gravity = false,
    end_right_gravity = false,
    invalidate = true,
    undo_restore = true,
  })
  local signs = state.config.signs
  if signs then
    mark.sign = api.nvim_buf_set_extmark(mark.bufnr, M.namespace, first, 0, {
      id = mark.sign,
      sign_text = signs[name],
      sign_hl_group = GROUPS[name],
      right_gravity = false,
      undo_restore = false,
    })
  end
end

--- Take away what is drawn, but not the mark over the code.
---@param mark carpo.Mark
function M.hide(mark)
  if api.nvim_buf_is_loaded(mark.bufnr) then
    for _, id in ipairs({ mark.sign or -1, mark.text or -1 }) do
      api.nvim_buf_del_extmark(mark.bufnr, M.namespace, id)
    end
  end
  mark.sign, mark.text, mark.shown = nil, nil, nil
  images.close(mark.pictures)
  mark.pictures = {}
end

--- Draw an execution where its code is now.
---@param execution carpo.Execution
function M.draw(execution)
  local mark = execution.mark --[[@as carpo.Mark]]
  local first, last = M.rows(mark)
  if not first or not last then
    M.hide(mark)
    return
  end
  M.span(mark, first, last, execution.state)
  local lines = virtual_lines(execution)
  local ended = vim.tbl_contains({ "ok", "error", "aborted", "died" }, execution.state)
  if #lines == 0 and not ended then
    lines = mark.old or lines -- or the text below would jump up and down with each run
  else
    mark.old = nil
  end
  local text, group = M.label(execution)
  local line = api.nvim_buf_get_lines(mark.bufnr, last, last + 1, false)[1] or ""
  mark.shown = lines
  mark.text = api.nvim_buf_set_extmark(mark.bufnr, M.namespace, last, #line, {
    id = mark.text,
    virt_text = { { text, group } },
    virt_text_pos = "eol",
    virt_lines = lines,
    right_gravity = false,
    undo_restore = false,
  })
  mark.pictures = images.show(mark.bufnr, last, execution.outputs, mark.pictures)
end

--- Set the highlight groups, anew after `:colorscheme`.
function M.highlights()
  state.groups = {}
  for group, link in pairs({
    CarpoOutput = "Normal",
    CarpoStderr = "DiagnosticWarn",
    CarpoError = "DiagnosticError",
    CarpoNote = "Comment",
    CarpoQueued = "Comment",
    CarpoRunning = "DiagnosticInfo",
    CarpoDone = "DiagnosticOk",
    CarpoFailed = "DiagnosticError",
  }) do
    api.nvim_set_hl(0, group, { link = link, default = true })
  end
end

return M
