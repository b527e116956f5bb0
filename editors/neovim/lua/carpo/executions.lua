--- Executions: what the notifications say of them, drawn in a buffer or taken by a poller.

local cells = require("carpo.cells")
local kernels = require("carpo.kernels")
local outputs = require("carpo.outputs")
local state = require("carpo.state")

---@alias carpo.State.Name
---| "queued"|"running"|"waitingInput"
---| "ok"|"error"|"aborted"|"died" The last four are the end.

---@class carpo.Execution
---@field id string
---@field kernel_id string
---@field state carpo.State.Name
---@field outputs carpo.Output[]
---@field skipped integer Lines of outputs that are no longer kept.
---@field clearing? boolean Whether the next output clears those before it.
---@field count? integer The kernel's execution count.
---@field error? { ename: string, evalue: string, traceback: string[] }
---@field duration? number Milliseconds.
---@field prompt? string What it waits for.
---@field password? boolean Whether that is not to be seen.
---@field take? fun(event: table) Takes each event, for code that came from Lua.
---@field mark? carpo.Mark Where it is drawn.

local M = {}

M.TERMINAL = { ok = true, error = true, aborted = true, died = true }

--- Outputs that are kept: of more, some behind the first are only counted.
local MOST, FIRST = 120, 20

---@param id string
---@param kernel_id string
---@return carpo.Execution
function M.new(id, kernel_id)
  local execution = { id = id, kernel_id = kernel_id, state = "queued", outputs = {}, skipped = 0 }
  state.executions[id] = execution
  return execution
end

---@param execution carpo.Execution
---@return boolean
function M.done(execution)
  return M.TERMINAL[execution.state] == true
end

---@param execution carpo.Execution
local function clear(execution)
  execution.outputs, execution.skipped, execution.clearing = {}, 0, nil
end

---@param execution carpo.Execution
---@param params table
local function append(execution, params)
  local raw = params.output
  if execution.clearing then
    clear(execution)
  end
  local all = execution.outputs
  if outputs.continues(all[#all], raw) then
    outputs.extend(all[#all], raw)
    return
  end
  all[#all + 1] = outputs.new(raw, state.config.output.max_lines, params.displayId)
  if #all > MOST then
    execution.skipped = execution.skipped + outputs.count(table.remove(all, FIRST + 1))
  end
end

---@param execution carpo.Execution
---@param params table
local function update(execution, params)
  for index, output in ipairs(execution.outputs) do
    if output.display_id == params.displayId then
      execution.outputs[index] =
        outputs.new(params.output, state.config.output.max_lines, params.displayId)
    end
  end
end

--- An output as the Jupyter message that brought it.
---@param params table
---@return string type
---@return table content
local function message(params)
  if params.kind == "clear" then
    return "clear_output", { wait = params.wait == true }
  end
  local content = vim.tbl_extend("force", {}, params.output)
  local type_ = content.output_type
  content.output_type = nil
  if params.displayId then
    content.transient = { display_id = params.displayId }
  end
  return params.kind == "update" and "update_display_data" or type_, content
end

--- Take a carpo/output.
---@param params table
function M.on_output(params)
  local execution = state.executions[params.executionId]
  if not execution then
    return
  end
  if execution.take then
    local type_, content = message(params)
    execution.take({ status = "busy", type = type_, data = content })
    return
  end
  if params.kind == "append" then
    append(execution, params)
  elseif params.kind == "update" then
    update(execution, params)
  elseif params.wait then
    execution.clearing = true
  else
    clear(execution)
  end
  cells.touch(execution)
end

--- Take a carpo/executionState.
---@param params table
---@param client vim.lsp.Client
function M.on_state(params, client)
  local execution = state.executions[params.executionId]
  if not execution then
    if params.state ~= "queued" or not params.textDocument or not params.range then
      return -- not ours, and nowhere to be drawn
    end
    execution = M.new(params.executionId, params.kernelId)
    if not cells.place(execution, client, params.textDocument.uri, params.range) then
      state.executions[execution.id] = nil
      return
    end
  end
  if params.state == "queued" then
    clear(execution) -- one that is known is told again, from its beginning
  end
  execution.kernel_id = params.kernelId
  execution.state = params.state
  execution.count = params.executionCount
  execution.error = params.error
  execution.duration = params.durationMs
  if params.state ~= "waitingInput" then
    execution.prompt = nil
  end
  if M.done(execution) then
    M.finish(execution, params.userExpressions)
  elseif not execution.take then
    cells.touch(execution)
  end
end

---@param execution carpo.Execution
---@param user_expressions? table
function M.finish(execution, user_expressions)
  local data = {
    execution_id = execution.id,
    kernel_id = execution.kernel_id,
    state = execution.state,
    execution_count = execution.count,
    error = execution.error,
    duration_ms = execution.duration,
    user_expressions = user_expressions,
    buf = execution.mark and execution.mark.bufnr,
  }
  if execution.take then
    state.executions[execution.id] = nil
    execution.take(vim.tbl_extend("force", data, { status = "idle" }))
  else
    cells.touch(execution, true)
  end
  kernels.emit("CarpoExecutionDone", data)
end

--- Draw what the server has of a document from before: of a buffer that was closed, or of an
--- earlier Neovim.
---@param bufnr integer
---@param client vim.lsp.Client
function M.restore(bufnr, client)
  local uri = vim.uri_from_bufnr(bufnr)
  local function on_result(problem, result)
    for _, found in ipairs(not problem and result.executions or {}) do
      if found.range and not state.executions[found.executionId] then
        local execution = M.new(found.executionId, "")
        execution.state = found.state
        execution.count = found.executionCount
        execution.error = found.error
        for _, output in ipairs(found.outputs) do
          append(execution, { output = output })
        end
        if cells.place(execution, client, uri, found.range) then
          cells.touch(execution)
        else
          state.executions[execution.id] = nil
        end
      end
    end
  end
  client:request("carpo/outputs", { textDocument = { uri = uri } }, on_result, bufnr)
end

--- The server has gone: what ran has died.
function M.on_server_exit()
  for _, execution in pairs(state.executions) do
    if not M.done(execution) then
      execution.state, execution.prompt = "died", nil
      M.finish(execution)
    end
  end
end

return M
