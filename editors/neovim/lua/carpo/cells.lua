--- Executions in buffers: where their code stands, and what is drawn there.
---
--- Extmarks follow the text by themselves: one spans the code that was run, one on its first line
--- carries the sign, and one at the end of its last line carries the state and the outputs. What is
--- typed behind that line is new, and stands below the outputs. Nothing here runs while text is
--- typed: drawing is for what kernels send, twenty times a second at the most, and marks are put
--- right when lines were added or taken away in normal mode.

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

---@class carpo.Drawn
---@field executions table<string, carpo.Execution>
---@field line_count integer The number of lines when the marks were last put right.

local M = {}

local api = vim.api

M.namespace = api.nvim_create_namespace("carpo")

--- Milliseconds between two drawings.
local INTERVAL = 50

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

-- Lines

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

-- Marks

--- The rows of an execution's code now, first and last; nil when the code is gone.
---@param mark carpo.Mark
---@return integer? first
---@return integer? last
local function rows(mark)
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

---@param mark carpo.Mark
---@param first integer
---@param last integer
---@param name carpo.State.Name
local function span(mark, first, last, name)
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

---@param mark carpo.Mark
local function hide(mark)
  if api.nvim_buf_is_loaded(mark.bufnr) then
    for _, id in ipairs({ mark.sign or -1, mark.text or -1 }) do
      api.nvim_buf_del_extmark(mark.bufnr, M.namespace, id)
    end
  end
  mark.sign, mark.text, mark.shown = nil, nil, nil
  images.close(mark.pictures)
  mark.pictures = {}
end

---@param execution carpo.Execution
local function draw(execution)
  local mark = execution.mark --[[@as carpo.Mark]]
  local first, last = rows(mark)
  if not first or not last then
    hide(mark)
    return
  end
  span(mark, first, last, execution.state)
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

--- Forget an execution and what is drawn of it.
---@param execution carpo.Execution
local function remove(execution)
  local mark = execution.mark --[[@as carpo.Mark]]
  hide(mark)
  if mark.code and api.nvim_buf_is_loaded(mark.bufnr) then
    api.nvim_buf_del_extmark(mark.bufnr, M.namespace, mark.code)
  end
  local drawn = state.buffers[mark.bufnr]
  if drawn then
    drawn.executions[execution.id] = nil
  end
  state.executions[execution.id] = nil
  state.dirty[execution] = nil
end

--- Put marks right after lines were added or taken away: code may have lost its last line, be gone,
--- or be back.
---@param bufnr integer
local function follow(bufnr)
  local drawn = state.buffers[bufnr]
  local count = api.nvim_buf_line_count(bufnr)
  if not drawn or drawn.line_count == count then
    return
  end
  drawn.line_count = count
  for _, execution in pairs(drawn.executions) do
    local mark = execution.mark --[[@as carpo.Mark]]
    local _, last = rows(mark)
    local at = mark.text and api.nvim_buf_get_extmark_by_id(bufnr, M.namespace, mark.text, {})[1]
    if last ~= at then
      hide(mark)
      draw(execution)
    end
  end
end

--- Where lines stand in a buffer: the row nearest to `near`, nil where they do not.
---@param bufnr integer
---@param wanted string[]
---@param near integer
---@return integer?
local function find(bufnr, wanted, near)
  local all = api.nvim_buf_get_lines(bufnr, 0, -1, false)
  local best
  for row = 0, #all - #wanted do
    local same = true
    for offset = 1, #wanted do
      if all[row + offset] ~= wanted[offset] then
        same = false
        break
      end
    end
    if same and (not best or math.abs(row - near) < math.abs(best - near)) then
      best = row
    end
  end
  return best
end

--- A buffer has been read again, and its marks mean nothing: outputs return to code that is there.
---@param bufnr integer
local function restore(bufnr)
  local executions = vim.tbl_values(state.buffers[bufnr].executions)
  for _, execution in ipairs(executions) do
    local mark = execution.mark --[[@as carpo.Mark]]
    mark.row = api.nvim_buf_get_extmark_by_id(bufnr, M.namespace, mark.code, {})[1] or mark.row
    hide(mark)
  end
  api.nvim_buf_clear_namespace(bufnr, M.namespace, 0, -1)
  for _, execution in ipairs(executions) do
    local mark = execution.mark --[[@as carpo.Mark]]
    local row = find(bufnr, mark.lines, mark.row or 0)
    mark.code = nil
    if row then
      span(mark, row, row + #mark.lines - 1, execution.state)
      draw(execution)
    else
      remove(execution)
    end
  end
end

--- Before a buffer is unloaded: what the code is now, and where.
---@param bufnr integer
local function remember(bufnr)
  for _, execution in pairs(state.buffers[bufnr].executions) do
    local mark = execution.mark --[[@as carpo.Mark]]
    local first, last = rows(mark)
    if first then
      mark.row = first
      mark.lines = api.nvim_buf_get_lines(bufnr, first, last + 1, false)
    end
    hide(mark)
  end
end

---@param bufnr integer
local function forget(bufnr)
  for _, execution in pairs(state.buffers[bufnr].executions) do
    images.close(execution.mark.pictures)
    state.executions[execution.id] = nil
    state.dirty[execution] = nil
  end
  state.buffers[bufnr] = nil
end

---@param bufnr integer
---@return carpo.Drawn
local function watch(bufnr)
  if state.buffers[bufnr] then
    return state.buffers[bufnr]
  end
  state.buffers[bufnr] = { executions = {}, line_count = api.nvim_buf_line_count(bufnr) }
  local group = api.nvim_create_augroup("carpo.buffer." .. bufnr, {})
  local function on(events, callback)
    api.nvim_create_autocmd(events, {
      group = group,
      buffer = bufnr,
      callback = function()
        if state.buffers[bufnr] then
          callback(bufnr)
        end
      end,
    })
  end
  on({ "TextChanged", "InsertLeave" }, follow)
  on("BufUnload", remember)
  on("BufReadPost", restore)
  on("BufWipeout", function()
    forget(bufnr)
    api.nvim_del_augroup_by_id(group)
  end)
  return state.buffers[bufnr]
end

-- For the other modules

--- Give an execution its place in a buffer. What stood for the same code before goes.
---@param execution carpo.Execution
---@param client vim.lsp.Client
---@param uri string
---@param range lsp.Range
---@return boolean # Whether there is such a place.
function M.place(execution, client, uri, range)
  local bufnr
  for each in pairs(client.attached_buffers) do
    if vim.uri_from_bufnr(each) == uri then
      bufnr = each
    end
  end
  if not bufnr or not api.nvim_buf_is_loaded(bufnr) then
    return false
  end
  local count = api.nvim_buf_line_count(bufnr)
  local first = math.min(range.start.line, count - 1)
  local last = math.max(first, math.min(range["end"].line, count - 1))
  if range["end"].character == 0 and last > first then
    last = last - 1
  end
  local drawn = watch(bufnr)
  local old
  for _, other in pairs(drawn.executions) do
    local from, to = rows(other.mark)
    -- A statement's outputs may stand inside a cell that has its own below it.
    local inside = from and from <= first and last <= to and to - from > last - first
    if from and from <= last and first <= to and not inside then
      old = to == last and other.mark.shown or old
      remove(other)
    end
  end
  execution.mark = {
    bufnr = bufnr,
    lines = api.nvim_buf_get_lines(bufnr, first, last + 1, false),
    old = old,
    pictures = {},
  }
  span(execution.mark, first, last, execution.state)
  drawn.executions[execution.id] = execution
  return true
end

--- Draw what has changed. Not for others than the timer and tests.
function M.flush()
  local dirty = state.dirty
  state.dirty = {}
  for execution in pairs(dirty) do
    if execution.mark and api.nvim_buf_is_loaded(execution.mark.bufnr) then
      draw(execution)
      local float = state.float
      if float and float.execution == execution then
        require("carpo.float").refresh()
      end
    end
  end
end

--- An execution has changed: draw it soon, with whatever else comes until then.
---@param execution carpo.Execution
function M.touch(execution)
  state.dirty[execution] = true
  if not state.timer then
    state.timer = assert(vim.uv.new_timer())
  end
  if not state.timer:is_active() then
    state.timer:start(INTERVAL, 0, vim.schedule_wrap(M.flush))
  end
end

--- The execution that is shown for a line: the one of the smallest piece of code around it.
---@param bufnr integer
---@param row integer From 0.
---@return carpo.Execution?
function M.at(bufnr, row)
  local drawn = state.buffers[bufnr]
  local best, size
  for _, execution in pairs(drawn and drawn.executions or {}) do
    local first, last = rows(execution.mark)
    if first and first <= row and row <= last and (not size or last - first < size) then
      best, size = execution, last - first
    end
  end
  return best
end

--- Take away what is drawn of a line's execution; without a line, of all of a buffer.
---@param bufnr integer
---@param row integer?
function M.clear(bufnr, row)
  local found = {}
  if row then
    found = { M.at(bufnr, row) }
  elseif state.buffers[bufnr] then
    found = vim.tbl_values(state.buffers[bufnr].executions)
  end
  vim.tbl_map(remove, found)
end

--- The highlight groups, to be set anew after `:colorscheme`.
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
  for _, drawn in pairs(state.buffers) do
    for _, execution in pairs(drawn.executions) do
      M.touch(execution)
    end
  end
end

return M
