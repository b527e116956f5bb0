--- What `setup` takes: defaults, and one clear error for what it does not take.

---@class carpo.OutputOptions
---@field max_lines integer Lines that are drawn under a cell at the most.
---@field max_columns integer Columns of such a line at the most.
---@field image_height integer Rows of a picture at the most.
---@field images "auto"|"snacks"|"image"|false Which plugin draws pictures; false: only their path.

---@class carpo.Config
---@field cmd string[] The command that starts the server.
---@field filetypes string[]
---@field root_markers (string|string[])[]
---@field settings table The server's settings, without the outer "carpo".
---@field output carpo.OutputOptions
---@field signs table<string, string>|false A sign for each state of a cell, or none.

local M = {}

---@type carpo.Config
M.defaults = {
  cmd = { "carpo-lsp" },
  filetypes = { "python", "r", "julia", "markdown", "quarto", "rmd" },
  root_markers = { { "carpo.toml", "pyproject.toml", "DESCRIPTION" }, ".git" },
  -- Virtual lines show the results; the server's short ones would stand there twice.
  settings = { results = { show = "off" } },
  output = { max_lines = 12, max_columns = 400, image_height = 16, images = "auto" },
  signs = {
    queued = "○",
    running = "●",
    waitingInput = "?",
    ok = "✓",
    error = "✗",
    aborted = "–",
    died = "†",
  },
}

local TYPES = {
  cmd = "table",
  filetypes = "table",
  root_markers = "table",
  settings = "table",
  output = "table",
  signs = { "table", "boolean" },
  ["output.max_lines"] = "number",
  ["output.max_columns"] = "number",
  ["output.image_height"] = "number",
}

---@param name string
---@param given table
---@param known table
local function check_names(name, given, known)
  for key in pairs(given) do
    if known[key] == nil then
      local names = vim.tbl_keys(known)
      table.sort(names)
      local message = "carpo: setup has no option %s; it has %s"
      error(message:format(vim.inspect(name .. tostring(key)), table.concat(names, ", ")), 0)
    end
  end
end

---@param given table?
---@return carpo.Config
function M.merge(given)
  given = given or {}
  vim.validate("carpo: setup's argument", given, "table")
  check_names("", given, M.defaults)
  for name, type_ in pairs(TYPES) do
    vim.validate(
      "carpo: setup's " .. name,
      vim.tbl_get(given, unpack(vim.split(name, ".", { plain = true }))),
      type_,
      true
    )
  end
  check_names("output.", given.output or {}, M.defaults.output)
  if given.signs then
    check_names("signs.", given.signs, M.defaults.signs)
  end
  local images = vim.tbl_get(given, "output", "images")
  if
    not vim.list_contains({ "auto", "snacks", "image", false }, images == nil and "auto" or images)
  then
    error('carpo: setup\'s output.images is "auto", "snacks", "image" or false', 0)
  end
  local config = vim.tbl_deep_extend("force", M.defaults, given)
  config.cmd = given.cmd or M.defaults.cmd
  config.filetypes = given.filetypes or M.defaults.filetypes
  config.root_markers = given.root_markers or M.defaults.root_markers
  return config
end

return M
