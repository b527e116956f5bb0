-- The command and the <Plug> maps; what they need is loaded with their first use.

if vim.g.loaded_carpo then
  return
end
vim.g.loaded_carpo = true

vim.api.nvim_create_user_command("Carpo", function(given)
  require("carpo.commands").ex(given)
end, {
  nargs = "?",
  range = true,
  desc = "Run code in live kernels",
  complete = function(lead)
    return require("carpo.commands").complete(lead)
  end,
})

for _, name in ipairs({
  "run-cell",
  "run-cell-and-advance",
  "run-statement",
  "run-selection",
  "run-above",
  "run-below",
  "run-all",
  "restart-and-run-all",
  "interrupt",
  "restart",
  "shutdown",
  "select",
  "answer",
  "output",
  "results",
  "clear",
  "clear-all",
  "export",
  "kernels",
}) do
  vim.keymap.set({ "n", "x", "i" }, ("<Plug>(carpo-%s)"):format(name), function()
    require("carpo.commands").key(name)
  end, { desc = "carpo: " .. name })
end
