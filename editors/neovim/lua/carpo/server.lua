--- The language server: found, started, asked. One serves the whole of Neovim.

local state = require("carpo.state")

local M = {}

M.NAME = "carpo"

--- Milliseconds the server has to be ready, and to answer what needs no kernel.
local STARTING, ANSWERING = 20000, 10000

--- What to do when the server is not there.
---@param program string
---@return string
function M.how_to_install(program)
  local lines = {
    ("carpo: the server %q is not where Neovim finds programs."):format(program),
    "Install it with pipx install, or name it: ",
    'require("carpo").setup{ cmd = { "/path/to/carpo-lsp" } }',
  }
  local source = debug.getinfo(1, "S").source:sub(2)
  local checkout = vim.fs.root(source, "pyproject.toml")
  if checkout then
    lines[2] = ("Install it with: pipx install %s\nOr name it: "):format(checkout)
  end
  return lines[1] .. "\n" .. lines[2] .. lines[3]
end

---@return boolean ok
---@return string? reason
local function installed()
  local program = state.config.cmd[1]
  if vim.fn.executable(program) == 0 then
    return false, M.how_to_install(program)
  end
  return true
end

--- A handler that is called with the client's name and params of a notification.
---@param on_params fun(params: table, client: vim.lsp.Client)
---@return lsp.Handler
local function handler(on_params)
  return function(_, params, context)
    local client = vim.lsp.get_client_by_id(context.client_id)
    if client then
      on_params(params, client)
    end
  end
end

---@param client vim.lsp.Client
---@param root string?
local function add_folder(client, root)
  if not root then
    return
  end
  local uri = vim.uri_from_fname(root)
  local folders = client.workspace_folders or {}
  for _, folder in ipairs(folders) do
    if folder.uri == uri then
      return
    end
  end
  local folder = { uri = uri, name = root }
  client.workspace_folders = vim.list_extend(folders, { folder })
  M.when_ready(client, function()
    client:notify("workspace/didChangeWorkspaceFolders", {
      event = { added = { folder }, removed = {} },
    })
  end)
end

--- Call a function once a client is ready, which may be now.
---@param client vim.lsp.Client
---@param on_ready fun(client: vim.lsp.Client)
function M.when_ready(client, on_ready)
  if client.initialized then
    on_ready(client)
  else
    table.insert(state.waiting, on_ready)
  end
end

---@param client vim.lsp.Client
local function on_init(client)
  local waiting = state.waiting
  state.waiting = {}
  for _, on_ready in ipairs(waiting) do
    on_ready(client)
  end
end

--- Tell Neovim of the server. Buffers of its file types start it.
---@param config carpo.Config
---@param on table<string, fun(params: table, client: vim.lsp.Client)> What takes notifications.
---@param on_exit fun(message: string?) Called when the server has ended, with what went wrong.
function M.configure(config, on, on_exit)
  local options = vim.tbl_deep_extend("force", { notifications = true }, config.settings)
  vim.lsp.config(M.NAME, {
    -- A function: Neovim passes over a list whose program is missing, and says nothing.
    cmd = function(dispatchers)
      return vim.lsp.rpc.start(config.cmd, dispatchers)
    end,
    filetypes = config.filetypes,
    init_options = { carpo = options },
    settings = { carpo = config.settings },
    handlers = vim.tbl_map(handler, on),
    root_dir = function(bufnr, on_dir)
      local ok, reason = installed()
      if not ok then
        vim.notify_once(reason --[[@as string]], vim.log.levels.ERROR)
        return
      end
      on_dir(vim.fs.root(bufnr, config.root_markers))
    end,
    reuse_client = function(client, wanted)
      if client.name ~= wanted.name or client:is_stopped() then
        return false
      end
      add_folder(client, wanted.root_dir)
      return true
    end,
    on_init = on_init,
    on_exit = function(code, signal)
      if vim.v.exiting ~= vim.NIL then
        return
      end
      local message
      if code ~= 0 or signal ~= 0 then
        message = ("carpo: the server has ended (exit code %d, signal %d), and its kernels with it. "):format(
          code,
          signal
        ) .. "The next run starts it again.\nIts log: " .. vim.lsp.log.get_filename()
      end
      vim.schedule(function()
        state.waiting = {}
        on_exit(message)
      end)
    end,
  })
  vim.lsp.enable(M.NAME)
end

--- The running client, ready or not.
---@return vim.lsp.Client?
function M.client()
  for _, client in ipairs(vim.lsp.get_clients({ name = M.NAME, _uninitialized = true })) do
    if not client:is_stopped() then
      return client
    end
  end
end

--- The client, started if need be, with the buffers of its file types. Raises an error that says
--- what to install.
---@return vim.lsp.Client
local function started()
  if not state.config then
    error('carpo: call require("carpo").setup{} first', 0)
  end
  local client = M.client()
  if client then
    return client
  end
  local ok, reason = installed()
  if not ok then
    error(reason, 0)
  end
  local config = vim.deepcopy(vim.lsp.config[M.NAME])
  config.root_dir = vim.fs.root(0, state.config.root_markers)
    or vim.fs.root(vim.fn.getcwd(), state.config.root_markers)
  if not vim.lsp.start(config, { attach = false, silent = true }) then
    error(("carpo: the server does not start: %s"):format(table.concat(state.config.cmd, " ")), 0)
  end
  vim.lsp.enable(M.NAME) -- attaches the buffers that have no server, or have lost theirs
  return assert(M.client())
end

--- Call a function with the client once it is ready and has the buffer.
---@param bufnr integer
---@param on_ready fun(client: vim.lsp.Client)
function M.with_client(bufnr, on_ready)
  local client = started()
  M.when_ready(client, function()
    if not client.attached_buffers[bufnr] and not vim.lsp.buf_attach_client(bufnr, client.id) then
      error(("carpo: the server cannot have the buffer %d"):format(bufnr), 0)
    end
    -- A client that has just become ready opens its documents after this.
    vim.schedule(function()
      on_ready(client)
    end)
  end)
end

--- The message of an error the server has answered.
---@param problem lsp.ResponseError
---@return string
function M.message(problem)
  local hint = type(problem.data) == "table" and problem.data.hint
  local text = "carpo: " .. problem.message
  return type(hint) == "string" and text .. "\n" .. hint or text
end

local GONE = "carpo: the server has ended; `:LspLog` may tell why"

--- Wait for a condition, and process events meanwhile. Raises an error when it does not come true.
---@param milliseconds number
---@param what string
---@param is_so fun(): boolean?
local function wait(milliseconds, what, is_so)
  local ok, code = vim.wait(milliseconds, is_so, 10)
  if not ok then
    error(("carpo: %s %s"):format(what, code == -2 and "was interrupted" or "took too long"), 0)
  end
end

--- Ask the server and wait for the answer. Starts it if need be.
---@param method string
---@param params table
---@param milliseconds? number
---@return any result
function M.ask(method, params, milliseconds)
  local client = started()
  wait(STARTING, "the start of the server", function()
    return client.initialized or client:is_stopped()
  end)
  local answer ---@type { problem: lsp.ResponseError?, result: any }?
  local sent = client:request(method, params, function(problem, result)
    answer = { problem = problem, result = result }
  end)
  if not sent then
    error(GONE, 0)
  end
  wait(milliseconds or ANSWERING, method, function()
    return answer ~= nil or client:is_stopped()
  end)
  if not answer then
    error(GONE, 0)
  end
  if answer.problem then
    error(M.message(answer.problem), 0)
  end
  return answer.result
end

--- Ask the server, and go on. Starts it if need be.
---@param method string
---@param params table
---@param on_result? fun(problem: string?, result: any) Without it, problems are shown.
function M.request(method, params, on_result)
  M.when_ready(started(), function(client)
    client:request(method, params, function(problem, result)
      local message = problem and M.message(problem)
      if on_result then
        on_result(message, result)
      elseif message then
        vim.notify(message, vim.log.levels.WARN)
      end
    end)
  end)
end

--- Run one of the server's commands; what goes wrong comes as a message of the server.
---@param bufnr integer
---@param command string Its name without "carpo.".
---@param argument? table Is given the buffer's `uri`.
function M.command(bufnr, command, argument)
  argument = vim.tbl_extend("force", { uri = vim.uri_from_bufnr(bufnr) }, argument or {})
  M.with_client(bufnr, function(client)
    client:request("workspace/executeCommand", {
      command = "carpo." .. command,
      arguments = { argument },
    }, function(problem)
      if problem then
        vim.notify(M.message(problem), vim.log.levels.WARN)
      end
    end, bufnr)
  end)
end

return M
