--- Input that code waits for. One prompt at a time is on the screen.

local cells = require("carpo.cells")
local server = require("carpo.server")
local state = require("carpo.state")

---@class carpo.Prompt
---@field kernel_id string
---@field execution_id string
---@field prompt string
---@field password boolean

local M = {}

--- Whether code still waits for the answer to a prompt.
---@param prompt carpo.Prompt
---@return boolean
local function waits(prompt)
  local execution = state.executions[prompt.execution_id]
  return execution ~= nil and execution.prompt ~= nil
end

---@param prompt carpo.Prompt
---@param value string
local function answer(prompt, value)
  server.request("carpo/stdin", {
    kernelId = prompt.kernel_id,
    executionId = prompt.execution_id,
    value = value,
  })
end

local show

---@param value string? nil when the user has left.
local function on_answer(value)
  local prompt = table.remove(state.prompts, 1)
  if value and waits(prompt) then
    answer(prompt, value)
  elseif waits(prompt) then
    vim.notify(
      "carpo: the code still waits. `:Carpo answer` asks again, `:Carpo interrupt` ends it.",
      vim.log.levels.INFO
    )
  end
  show()
end

--- Show the first prompt that somebody still waits for.
function show()
  while state.prompts[1] and not waits(state.prompts[1]) do
    table.remove(state.prompts, 1)
  end
  local prompt = state.prompts[1]
  if not prompt then
    return
  end
  local text = prompt.prompt ~= "" and prompt.prompt or "Input: "
  if prompt.password then
    local ok, value = pcall(vim.fn.inputsecret, { prompt = text, cancelreturn = vim.NIL })
    -- An interrupt leaves the box like Escape does.
    on_answer(ok and value ~= vim.NIL and value or nil)
  else
    vim.ui.input({ prompt = text }, on_answer)
  end
end

---@param prompt carpo.Prompt
local function add(prompt)
  table.insert(state.prompts, prompt)
  if #state.prompts == 1 then
    -- Boxes keep whoever opens them: not the one who reads the server's messages.
    vim.schedule(show)
  end
end

--- Take a carpo/inputRequest.
---@param params table
function M.on_input(params)
  local execution = state.executions[params.executionId]
  if execution and execution.take then
    local data = { prompt = params.prompt, password = params.password }
    execution.take({ status = "busy", type = "input_request", data = data })
    return
  end
  if execution then
    execution.prompt = params.prompt
    execution.password = params.password
    cells.touch(execution)
    add({
      kernel_id = params.kernelId,
      execution_id = params.executionId,
      prompt = params.prompt,
      password = params.password,
    })
  end
end

--- Ask again for what code waits for, that of the buffer first.
---@param bufnr integer
function M.ask(bufnr)
  local found
  for _, execution in pairs(state.executions) do
    if execution.prompt and execution.mark then
      local here = execution.mark.bufnr == bufnr
      found = (here or not found) and execution or found
    end
  end
  if not found then
    vim.notify("carpo: no code waits for input.", vim.log.levels.WARN)
  elseif #state.prompts == 0 then
    add({
      kernel_id = found.kernel_id,
      execution_id = found.id,
      prompt = found.prompt,
      password = found.password,
    })
  end
end

return M
