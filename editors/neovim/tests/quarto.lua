--- A document of two languages. It needs R.

local test = require("support")

case("python and r stand in one document, each in its kernel", function()
  test.setup()
  local bufnr = test.open("report.qmd", {
    "# Report",
    "",
    "```{python}",
    "x = 1",
    "x",
    "```",
    "",
    "```{r}",
    "x <- 'of r'",
    "x",
    "```",
  })
  test.equal(vim.bo[bufnr].filetype, "quarto")
  test.run(3, "run-all")
  test.equal(test.until_drawn(bufnr, 4, "✓").lines, { "1" })
  test.equal(test.until_drawn(bufnr, 9, "✓").lines, { '[1] "of r"' })
  test.equal(test.sign(bufnr, 8), "✓")
  test.equal(#require("carpo.kernels").of(bufnr), 2)
  vim.cmd.Carpo("clear-all")
  test.run(8, "run-statement")
  test.until_drawn(bufnr, 8, "✓")
  test.equal(test.drawn(bufnr)[4], nil)
end)
