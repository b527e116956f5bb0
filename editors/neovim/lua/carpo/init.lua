--- Live Jupyter kernels in Neovim: outputs under the cells, and kernels for Lua programs.
---
--- |carpo.txt| has it all.

local api = require("carpo.api")

---@class carpo
local M = {
  discover_kernels = api.discover_kernels,
  start_kernel = api.start_kernel,
  list_kernels = api.list_kernels,
  get_kernel_info = api.get_kernel_info,
  execute_code = api.execute_code,
  provide_stdin = api.provide_stdin,
  get_completions = api.get_completions,
  is_complete = api.is_complete,
  interrupt = api.interrupt,
  restart = api.restart,
  shutdown_kernel = api.shutdown_kernel,
  request = api.request,
  status = api.status,
}

--- Tell Neovim of the server, which starts with the first buffer it is for.
---@param opts? table See |carpo-setup|.
function M.setup(opts)
  if vim.fn.has("nvim-0.11") == 0 then
    error("carpo: needs Neovim 0.11 or newer", 0)
  end
  local cells = require("carpo.cells")
  local executions = require("carpo.executions")
  local kernels = require("carpo.kernels")
  local state = require("carpo.state")

  state.config = require("carpo.config").merge(opts)
  cells.redraw()
  local group = vim.api.nvim_create_augroup("carpo", {})
  vim.api.nvim_create_autocmd("ColorScheme", { group = group, callback = cells.redraw })
  local server = require("carpo.server")
  vim.api.nvim_create_autocmd("LspAttach", {
    group = group,
    callback = function(event)
      local client = vim.lsp.get_client_by_id(event.data.client_id)
      if client and client.name == server.NAME then
        executions.restore(event.buf, client)
      end
    end,
  })
  server.configure(state.config, {
    ["carpo/executionState"] = executions.on_state,
    ["carpo/output"] = executions.on_output,
    ["carpo/inputRequest"] = require("carpo.prompts").on_input,
    ["carpo/kernelStatus"] = kernels.on_status,
  }, function(message)
    executions.on_server_exit()
    kernels.on_server_exit()
    if message then
      vim.notify(message, vim.log.levels.ERROR)
    end
  end)
end

return M
