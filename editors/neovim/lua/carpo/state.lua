--- All that the plugin remembers. The other modules hold nothing between calls.

---@class carpo.State
local state = {
  ---@type carpo.Config? What `setup` was given, with defaults; nil before it.
  config = nil,
  ---@type table<string, carpo.Kernel> Kernels by id, as the server last told of them.
  kernels = {},
  ---@type table<string, carpo.Execution> Executions by id that run, or are drawn in a buffer.
  executions = {},
  ---@type table<integer, carpo.Drawn> What is drawn in a buffer, by its number.
  buffers = {},
  ---@type table<carpo.Execution, true> Executions that have changed since they were drawn.
  dirty = {},
  ---@type uv.uv_timer_t? Runs while something is to be drawn.
  timer = nil,
  --- When something was last drawn, by `vim.uv.now()`.
  drawn_at = 0,
  ---@type carpo.Prompt[] Prompts that wait for the user; the first one is on the screen.
  prompts = {},
  ---@type fun(client: vim.lsp.Client)[] What waits for the server to be ready.
  waiting = {},
  ---@type carpo.Float? The window with a whole output.
  float = nil,
  ---@type table<string, true> Highlight groups that exist.
  groups = {},
}

return state
