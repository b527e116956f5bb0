--- Measures what a keystroke costs, in a terminal:
---   nvim --clean -S editors/neovim/tests/typing.lua
---
--- Each keystroke inserts a character and draws the screen. It is measured in a buffer of a
--- language server alone, then with the plugin and 100,000 lines of output in each of four cells,
--- and while a fifth prints without end. The numbers are written to stdout when Neovim ends, and to
--- the file that $CARPO_REPORT names.

package.path = vim.fs.dirname(vim.fs.abspath(debug.getinfo(1, "S").source:sub(2)))
  .. "/?.lua;"
  .. package.path
local test = require("support")

local KEYS, ROUNDS = 200, 5
local report = {}

--- Milliseconds of keystrokes: the median and the 95th percentile.
---@param name string
---@param bufnr integer
local function measure(name, bufnr)
  local times = {}
  local keys = vim.api.nvim_replace_termcodes("ax<Esc>", true, false, true)
  for _ = 1, ROUNDS do
    vim.api.nvim_win_set_cursor(0, { 2, 0 })
    for _ = 1, KEYS do
      local start = vim.uv.hrtime()
      vim.api.nvim_feedkeys(keys, "xt", false)
      vim.cmd.redraw()
      times[#times + 1] = (vim.uv.hrtime() - start) / 1e6
    end
    vim.api.nvim_buf_set_lines(bufnr, 1, 2, false, { "x = 1" })
    vim.wait(200)
  end
  table.sort(times)
  report[#report + 1] = {
    name = name,
    median = times[math.ceil(#times / 2)],
    p95 = times[math.ceil(#times * 0.95)],
  }
end

local lines = { "# %%", "x = 1" }
for _ = 1, 4 do
  vim.list_extend(lines, { "# %%", "for i in range(100_000): print(i)" })
end
vim.list_extend(lines, { "# %%", "while True: print(1, flush=True)" })

vim.lsp.config("plain", { cmd = { "carpo-lsp" }, filetypes = { "python" } })
vim.lsp.enable("plain")
local bufnr = test.open("script.py", lines)
test.until_("the server", function()
  local client = vim.lsp.get_clients({ bufnr = bufnr })[1]
  return client and client.initialized
end)
measure("the language server alone", bufnr)
vim.lsp.enable("plain", false)
test.until_("its end", function()
  return #vim.lsp.get_clients() == 0
end)

test.setup()
vim.cmd.edit({ bang = true })
test.run(0, "run-cell")
test.until_drawn(bufnr, 1, "✓")
measure("the plugin, no outputs", bufnr)
for row = 3, 9, 2 do
  test.run(row, "run-cell")
  test.until_drawn(bufnr, row, "✓")
end
measure("the plugin, 400,000 lines of output", bufnr)
test.run(11, "run-cell")
test.until_("output", function()
  local drawn = test.drawn(bufnr)[11]
  return drawn and #drawn.lines == 12
end)
measure("the plugin, and output without end", bufnr)
vim.cmd.Carpo("interrupt")

local text = {}
for _, row in ipairs(report) do
  local ratio = row.median / report[1].median
  text[#text + 1] = ("%-36s median %.3f ms (%.2f), 95 %% %.3f ms"):format(
    row.name,
    row.median,
    ratio,
    row.p95
  )
end
if vim.env.CARPO_REPORT then
  vim.fn.writefile(text, vim.env.CARPO_REPORT)
end
vim.api.nvim_create_autocmd("VimLeave", {
  callback = function()
    io.stdout:write(table.concat(text, "\r\n") .. "\r\n")
  end,
})
vim.cmd("qa!")
