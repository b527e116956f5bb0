--- Kernels, as the server tells of them: a registry, life-cycle autocommands, a status line.

local state = require("carpo.state")

---@class carpo.Kernel What the protocol calls Kernel, with names in snake_case.
---@field kernel_id string
---@field spec_name string?
---@field spec_path string?
---@field display_name string
---@field language string
---@field status "starting"|"idle"|"busy"|"restarting"|"dead"|"stopped"
---@field owned boolean
---@field connection_file string?
---@field pid integer?
---@field documents string[] URIs.
---@field execution_count integer?
---@field pending integer
---@field started_at string?
---@field last_activity string?
---@field resources { rss_bytes: integer, cpu_percent: number }?
---@field kernel_info table? The content of kernel_info_reply.

local M = {}

--- An object of the protocol with snake_case names. What Jupyter names stays as it is.
---@param object table
---@return table
function M.snake(object)
  local found = {}
  for key, value in pairs(object) do
    if key ~= "kernelInfo" and type(value) == "table" and not vim.islist(value) then
      value = M.snake(value)
    end
    found[(key:gsub("%u", function(letter)
      return "_" .. letter:lower()
    end))] = value
  end
  return found
end

---@param pattern string
---@param data table
function M.emit(pattern, data)
  vim.api.nvim_exec_autocmds("User", { pattern = pattern, modeline = false, data = data })
end

--- The event that a status is, given the one before it.
---@param before string?
---@param now string
---@return string?
local function event(before, now)
  if now == "idle" and (before == nil or before == "starting" or before == "restarting") then
    return "CarpoKernelStarted"
  end
  return ({
    starting = "CarpoKernelStarting",
    restarting = "CarpoKernelRestarting",
    dead = "CarpoKernelDied",
    stopped = "CarpoKernelStopped",
  })[now]
end

--- Take a carpo/kernelStatus.
---@param params table
function M.on_status(params)
  local kernel = M.snake(params.kernel) --[[@as carpo.Kernel]]
  kernel.status = params.status
  local id = params.kernelId
  local known = state.kernels[id]
  local before = known and known.status
  state.kernels[id] = params.status ~= "stopped" and kernel or nil
  local data = {
    kernel_id = id,
    status = params.status,
    reason = params.reason,
    exit_code = params.exitCode,
    stderr_tail = params.stderrTail,
    kernel = kernel,
  }
  M.emit("CarpoKernelStatus", data)
  local name = before ~= params.status and event(before, params.status)
  if name then
    M.emit(name, data)
  end
  if params.status == "dead" and before ~= "dead" then
    M.tell_death(data)
  elseif params.status == before and params.reason then
    -- A limit is near, or the kernel does not answer.
    vim.notify(("carpo: %s: %s"):format(kernel.display_name, params.reason), vim.log.levels.WARN)
  end
end

---@param data table
function M.tell_death(data)
  local kernel = data.kernel
  local lines = {
    ("carpo: the kernel %s %s: %s"):format(
      kernel.display_name,
      kernel.started_at and "has died" or "did not start",
      data.reason or "it has ended."
    ),
  }
  local tail = vim.split(vim.trim(data.stderr_tail or ""), "\n")
  if tail[#tail] ~= "" then
    lines[#lines + 1] = tail[#tail]
  end
  lines[#lines + 1] = "`:Carpo restart` starts it again."
  vim.notify(table.concat(lines, "\n"), vim.log.levels.ERROR)
end

--- The server has gone, and the kernels with it.
function M.on_server_exit()
  local kernels = state.kernels
  state.kernels = {}
  for id, kernel in pairs(kernels) do
    kernel.status = "stopped"
    local data =
      { kernel_id = id, status = "stopped", reason = "The server has ended.", kernel = kernel }
    M.emit("CarpoKernelStatus", data)
    M.emit("CarpoKernelStopped", data)
  end
end

--- The kernels of a buffer's document.
---@param bufnr integer
---@return carpo.Kernel[]
function M.of(bufnr)
  local uri = vim.uri_from_bufnr(bufnr)
  local found = {}
  for _, kernel in pairs(state.kernels) do
    if vim.list_contains(kernel.documents, uri) then
      found[#found + 1] = kernel
    end
  end
  table.sort(found, function(one, other)
    return one.kernel_id < other.kernel_id
  end)
  return found
end

--- A few words on a buffer's kernels, for a status line.
---@param bufnr integer
---@return string
function M.status(bufnr)
  local words = {}
  for _, kernel in ipairs(M.of(bufnr)) do
    words[#words + 1] = kernel.display_name .. " " .. kernel.status
  end
  return table.concat(words, ", ")
end

return M
