--- Kernels by id, for Lua programs: these functions are those of `require("carpo")`.
---
--- What a kernel or the server refuses is raised as an error with a sentence for people. Functions
--- that wait for a kernel process Neovim's events meanwhile; they cannot be called in callbacks of
--- |vim.uv|, only behind |vim.schedule()|.

local executions = require("carpo.executions")
local kernels = require("carpo.kernels")
local server = require("carpo.server")
local state = require("carpo.state")

local M = {}

--- Seconds a kernel has to start, unless the caller or the settings say otherwise.
local STARTING = 60
--- Milliseconds for what a kernel has its own, shorter deadline for.
local ASKING = 15000

---@return string # A UUID, version 4.
local function uuid()
  local bytes = { assert(vim.uv.random(16)):byte(1, 16) }
  bytes[7] = 0x40 + bytes[7] % 0x10
  bytes[9] = 0x80 + bytes[9] % 0x40
  return ("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x"):format(
    unpack(bytes)
  )
end

---@param what string
---@param given table?
---@param known string[]
local function check(what, given, known)
  vim.validate(what .. ": opts", given, "table", true)
  for key in pairs(given or {}) do
    if not vim.list_contains(known, key) then
      local message = "carpo: %s has no option %q; it has %s"
      error(message:format(what, tostring(key), table.concat(known, ", ")), 0)
    end
  end
end

---@class carpo.KernelSpec
---@field name string
---@field spec_path string
---@field display_name string
---@field language string
---@field interrupt_mode "signal"|"message"
---@field origin "jupyter"|"environment"

--- The kernels that could be started: installed ones and Python environments near the workspace.
---@return table<string, carpo.KernelSpec> # By path of the kernelspec.
function M.discover_kernels()
  local found = {}
  for _, spec in ipairs(server.ask("carpo/listKernelSpecs", vim.empty_dict()).specs) do
    found[spec.specPath] = kernels.snake(spec)
  end
  return found
end

---@class carpo.StartOptions
---@field kernel_id? string A UUID of your choice.
---@field cwd? string
---@field env? table<string, string>
---@field limits? { memoryMb?: number, executionSeconds?: number, idleMinutes?: number }
---@field timeout? number Seconds the kernel has to start.
---@field on_start? fun(problem: string?, kernel: carpo.Kernel?) Do not wait: call this instead.

--- Start a kernel.
---
--- Without `opts.on_start` this waits until the kernel is ready. With it, the id is returned at
--- once, and may be used: code waits for the start.
---@param path? string Path of a kernel.json or of its folder, of a Python environment, or the name
---of a kernelspec; nil: the kernel of the current buffer.
---@param opts? carpo.StartOptions
---@return string kernel_id
---@return carpo.Kernel? kernel
function M.start_kernel(path, opts)
  opts = opts or {}
  check("start_kernel", opts, { "kernel_id", "cwd", "env", "limits", "timeout", "on_start" })
  local params = {
    kernelId = opts.kernel_id,
    cwd = opts.cwd,
    env = opts.env,
    limits = opts.limits,
    timeout = opts.timeout,
  }
  if path == nil then
    params.textDocument = { uri = vim.uri_from_bufnr(0) }
  elseif path:find("[/\\]") then
    params.specPath = path
  else
    params.specName = path
  end
  if opts.on_start then
    -- A document may have its kernel already, under another id.
    if path == nil then
      error("carpo: start_kernel: opts.on_start needs a path or a name", 0)
    end
    params.kernelId = params.kernelId or uuid()
    server.request("carpo/startKernel", params, function(problem, kernel)
      opts.on_start(problem, kernel and kernels.snake(kernel))
    end)
    return params.kernelId
  end
  local settings = state.config and state.config.settings
  local seconds = opts.timeout or vim.tbl_get(settings or {}, "kernel", "timeout") or STARTING
  local kernel = server.ask("carpo/startKernel", params, 1000 * seconds + ASKING)
  return kernel.kernelId, kernels.snake(kernel) --[[@as carpo.Kernel]]
end

--- The kernels of the server, with the memory and processor time they use.
---@return table<string, carpo.Kernel> # By id.
function M.list_kernels()
  local found = {}
  if server.client() then
    for _, kernel in ipairs(server.ask("carpo/listKernels", vim.empty_dict()).kernels) do
      found[kernel.kernelId] = kernels.snake(kernel)
    end
  end
  return found
end

--- A kernel with `kernel_info`, the content of its kernel_info_reply.
---@param kernel_id string
---@return carpo.Kernel
function M.get_kernel_info(kernel_id)
  local kernel = server.ask("carpo/kernelInfo", { kernelId = kernel_id }, 1000 * STARTING)
  return kernels.snake(kernel) --[[@as carpo.Kernel]]
end

---@class carpo.ExecuteOptions Those of Jupyter's execute_request, with the same defaults.
---@field silent? boolean
---@field store_history? boolean
---@field user_expressions? table<string, string>
---@field allow_stdin? boolean
---@field stop_on_error? boolean

---@class carpo.Event What a poll brings.
---@field status "busy"|"idle" "idle": the execution has ended, and all has been told.
---@field type? string "stream", "display_data", "update_display_data", "execute_result", "error",
---"clear_output" or "input_request"; nil when nothing has come.
---@field data? table The content of that Jupyter message.
---@field state? "ok"|"error"|"aborted"|"died" How the execution has ended.
---@field execution_id? string From here on: at the end.
---@field execution_count? integer
---@field error? { ename: string, evalue: string, traceback: string[] }
---@field user_expressions? table
---@field duration_ms? number

--- Run code in a kernel. The result is to be called until its `status` is "idle"; each call gives
--- the next event. A call waits a little for one, 20 milliseconds or as many as it is told.
---@param kernel_id string
---@param code string
---@param opts? carpo.ExecuteOptions
---@return fun(milliseconds?: number): carpo.Event
function M.execute_code(kernel_id, code, opts)
  opts = opts or {}
  local known = { "silent", "store_history", "user_expressions", "allow_stdin", "stop_on_error" }
  check("execute_code", opts, known)
  local execution = executions.new("nvim-" .. uuid(), kernel_id)
  local events, taken, last = {}, 0, nil
  execution.take = function(event)
    events[#events + 1] = event
  end
  local ok, problem = pcall(server.ask, "carpo/execute", {
    kernelId = kernel_id,
    code = code,
    executionId = execution.id,
    silent = opts.silent,
    storeHistory = opts.store_history,
    userExpressions = opts.user_expressions,
    allowStdin = opts.allow_stdin,
    stopOnError = opts.stop_on_error,
  })
  if not ok then
    state.executions[execution.id] = nil
    error(problem, 0)
  end
  return function(milliseconds)
    if last then
      return last
    end
    if taken == #events and not vim.in_fast_event() then
      vim.wait(milliseconds or 20, function()
        return taken < #events
      end, 5)
    end
    if taken == #events then
      return { status = "busy" }
    end
    taken = taken + 1
    local event = events[taken]
    events[taken] = false -- what was taken is not kept
    if event.status == "idle" then
      last = event
    end
    return event
  end
end

--- Answer the code that waits for input.
---@param kernel_id string
---@param value string
function M.provide_stdin(kernel_id, value)
  server.ask("carpo/stdin", { kernelId = kernel_id, value = value })
end

---@class carpo.Completions
---@field matches string[]
---@field cursor_start integer Code points of `code` that the matches replace: from here …
---@field cursor_end integer … to here.
---@field metadata table

--- What the kernel would complete.
---@param kernel_id string
---@param code string
---@param cursor_pos? integer In code points; nil: the end of the code.
---@return carpo.Completions
function M.get_completions(kernel_id, code, cursor_pos)
  local reply = server.ask("carpo/complete", {
    kernelId = kernel_id,
    code = code,
    cursorPos = cursor_pos or vim.str_utfindex(code, "utf-32"),
  }, ASKING)
  return {
    matches = reply.matches,
    cursor_start = reply.cursorStart,
    cursor_end = reply.cursorEnd,
    metadata = reply.metadata,
  }
end

--- Whether code could be run as it is.
---@param kernel_id string
---@param code string
---@return { status: "complete"|"incomplete"|"invalid"|"unknown", indent: string }
function M.is_complete(kernel_id, code)
  return server.ask("carpo/isComplete", { kernelId = kernel_id, code = code }, ASKING)
end

--- Interrupt what runs; what is queued ends as "aborted".
---@param kernel_id string
function M.interrupt(kernel_id)
  server.ask("carpo/interrupt", { kernelId = kernel_id })
end

--- Restart a kernel, dead or alive, and wait until it is ready.
---@param kernel_id string
---@return carpo.Kernel
function M.restart(kernel_id)
  local kernel =
    server.ask("carpo/restartKernel", { kernelId = kernel_id }, 1000 * STARTING + ASKING)
  return kernels.snake(kernel) --[[@as carpo.Kernel]]
end

--- End a kernel, and wait until its processes are gone.
---@param kernel_id string
function M.shutdown_kernel(kernel_id)
  server.ask("carpo/shutdownKernel", { kernelId = kernel_id }, ASKING)
end

--- Send any request of the protocol.
---@param method string Such as "carpo/history".
---@param params table
---@param on_result? fun(problem: string?, result: any)
function M.request(method, params, on_result)
  server.request(method, params, on_result)
end

--- A few words on a buffer's kernels, for a status line; empty without a kernel.
---@param bufnr? integer
---@return string
function M.status(bufnr)
  return kernels.status(bufnr or vim.api.nvim_get_current_buf())
end

return M
