--- Executions in buffers: where their code stands, and when they are drawn.
---
--- Nothing here runs while text is typed: drawing is for what kernels send, twenty times a second
--- at the most or when something has ended, and marks are put right when lines were added or taken away in normal mode.

local drawing = require("carpo.drawing")
local images = require("carpo.images")
local state = require("carpo.state")

---@class carpo.Drawn
---@field executions table<string, carpo.Execution>
---@field line_count integer The number of lines when the marks were last put right.

local M = {}

local api = vim.api

--- Milliseconds until a change is drawn, and those between two drawings when something has ended:
--- the result of a short cell is waited for.
local INTERVAL, SOON = 50, 10

--- Forget an execution and what is drawn of it.
---@param execution carpo.Execution
local function remove(execution)
  local mark = execution.mark --[[@as carpo.Mark]]
  drawing.hide(mark)
  if mark.code and api.nvim_buf_is_loaded(mark.bufnr) then
    api.nvim_buf_del_extmark(mark.bufnr, drawing.namespace, mark.code)
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
    local _, last = drawing.rows(mark)
    local at = mark.text
      and api.nvim_buf_get_extmark_by_id(bufnr, drawing.namespace, mark.text, {})[1]
    if last ~= at then
      drawing.hide(mark)
      drawing.draw(execution)
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
    mark.row = api.nvim_buf_get_extmark_by_id(bufnr, drawing.namespace, mark.code, {})[1]
      or mark.row
    drawing.hide(mark)
  end
  api.nvim_buf_clear_namespace(bufnr, drawing.namespace, 0, -1)
  for _, execution in ipairs(executions) do
    local mark = execution.mark --[[@as carpo.Mark]]
    local row = find(bufnr, mark.lines, mark.row or 0)
    mark.code = nil
    if row then
      drawing.span(mark, row, row + #mark.lines - 1, execution.state)
      drawing.draw(execution)
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
    local first, last = drawing.rows(mark)
    if first then
      mark.row = first
      mark.lines = api.nvim_buf_get_lines(bufnr, first, last + 1, false)
    end
    drawing.hide(mark)
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
    local from, to = drawing.rows(other.mark)
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
  drawing.span(execution.mark, first, last, execution.state)
  drawn.executions[execution.id] = execution
  return true
end

--- Draw what has changed. Not for others than the timer and tests.
function M.flush()
  state.drawn_at = vim.uv.now()
  local dirty = state.dirty
  state.dirty = {}
  for execution in pairs(dirty) do
    if execution.mark and api.nvim_buf_is_loaded(execution.mark.bufnr) then
      drawing.draw(execution)
      local float = state.float
      if float and float.execution == execution then
        require("carpo.float").refresh()
      end
    end
  end
end

--- An execution has changed: draw it soon, with whatever else comes until then.
---@param execution carpo.Execution
---@param ended? boolean Whether this was the last change.
function M.touch(execution, ended)
  state.dirty[execution] = true
  if not state.timer then
    state.timer = assert(vim.uv.new_timer())
  end
  local wait = ended and math.max(0, SOON - (vim.uv.now() - state.drawn_at)) or INTERVAL
  if not state.timer:is_active() or wait < state.timer:get_due_in() then
    state.timer:start(wait, 0, vim.schedule_wrap(M.flush))
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
    local first, last = drawing.rows(execution.mark)
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

--- Draw everything anew, in the colours of now.
function M.redraw()
  drawing.highlights()
  for _, drawn in pairs(state.buffers) do
    for _, execution in pairs(drawn.executions) do
      M.touch(execution)
    end
  end
end

return M
