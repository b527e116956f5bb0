--- `:checkhealth carpo`

local M = {}

local health = vim.health

---@param program string
---@param argument string
local function check_output(program, argument)
  local call = program .. " " .. argument
  local answer = vim.system({ program, argument }, { text = true, timeout = 30000 }):wait()
  if answer.code == 0 then
    health.ok(("`%s`:\n%s"):format(call, vim.trim(answer.stdout)))
  else
    health.error(("`%s` fails"):format(call), vim.split(vim.trim(answer.stderr), "\n"))
  end
end

---@param program string
local function check_program(program)
  if vim.fn.executable(program) == 0 then
    health.error(require("carpo.server").how_to_install(program))
    return
  end
  health.ok(vim.fn.exepath(program))
  check_output(program, "--version")
  check_output(program, "kernels")
end

local function check_client()
  local client = require("carpo.server").client()
  if not client then
    health.info("The server does not run; it starts with the first buffer of its file types.")
  elseif not client.initialized then
    health.info("The server is starting.")
  else
    local buffers = vim.tbl_count(client.attached_buffers)
    health.ok(("The server runs (client %d), with %d buffers."):format(client.id, buffers))
  end
end

function M.check()
  local state = require("carpo.state")

  health.start("carpo: Neovim")
  if vim.fn.has("nvim-0.11") == 1 then
    health.ok("Neovim " .. tostring(vim.version()))
  else
    health.error("Neovim is older than 0.11")
  end
  if not state.config then
    health.error('`require("carpo").setup{}` has not been called', { "Put it into your init.lua." })
    return
  end

  health.start("carpo: server")
  check_program(state.config.cmd[1])
  check_client()

  health.start("carpo: pictures")
  local _, name = require("carpo.images").drawer()
  if name then
    health.ok(("%s draws them."):format(name == "snacks" and "snacks.nvim" or "image.nvim"))
  else
    health.info("Neither snacks.nvim nor image.nvim can draw here: pictures are shown as paths.")
  end
end

return M
