--- How rounds.lua uses molten-nvim, as it is without settings: $CARPO_MOLTEN is a checkout of it,
--- $CARPO_MOLTEN_PYTHON the Python that it runs in.

local test = require("support")

local M = {} ---@type Player

function M.open(lines)
  vim.g.python3_host_prog = vim.env.CARPO_MOLTEN_PYTHON
  vim.opt.runtimepath:prepend(vim.env.CARPO_MOLTEN)
  -- What a start without `--clean` does with what this command has written.
  vim.g.loaded_remote_plugins = vim.fn.tempname()
  vim.cmd("silent UpdateRemotePlugins")
  vim.cmd.source(vim.g.loaded_remote_plugins)
  -- It writes a connection file there, and does not make the folder.
  vim.fn.mkdir(vim.fs.joinpath(vim.env.XDG_DATA_HOME, "jupyter", "runtime"), "p")
  local ready = false
  vim.api.nvim_create_autocmd("User", {
    pattern = "MoltenKernelReady",
    callback = function()
      ready = true
    end,
  })
  test.open("script.py", lines)
  vim.cmd("MoltenInit python3")
  test.until_("molten's kernel", function()
    return ready
  end)
end

function M.run(first, last)
  vim.api.nvim_win_set_cursor(0, { first + 1, 0 })
  vim.fn.MoltenEvaluateRange(first + 1, last + 1)
end

--- Its window shows the beginning of long output; the end is in there, out of sight.
function M.drawn()
  for _, window in ipairs(vim.api.nvim_list_wins()) do
    if vim.api.nvim_win_get_config(window).relative ~= "" then
      local buffer = vim.api.nvim_win_get_buf(window)
      local header = vim.api.nvim_buf_get_lines(buffer, 0, 1, true)[1]
      if header:find("✓ Done", 1, true) then
        return header .. " " .. vim.api.nvim_buf_get_lines(buffer, -2, -1, true)[1]
      end
    end
  end
end

return M
