--- Pictures under a cell: drawn by snacks.nvim or image.nvim where the terminal can, else a path.

local state = require("carpo.state")

---@class carpo.Picture
---@field path string
---@field close fun()

local M = {}

---@alias carpo.Drawer fun(bufnr: integer, row: integer, path: string): fun()

---@type table<string, fun(): carpo.Drawer?>
local drawers = {
  snacks = function()
    local ok, snacks = pcall(require, "snacks")
    local has = ok and snacks.image
    if not has or not snacks.image.supports_terminal() then
      return nil
    end
    return function(bufnr, row, path)
      local placement = snacks.image.placement.new(bufnr, path, {
        pos = { row + 1, 0 },
        inline = true,
        max_height = state.config.output.image_height,
      })
      return function()
        placement:close()
      end
    end
  end,
  image = function()
    local ok, image = pcall(require, "image")
    if not ok or not image.from_file then
      return nil
    end
    return function(bufnr, row, path)
      local picture = image.from_file(path, {
        buffer = bufnr,
        window = vim.fn.bufwinid(bufnr),
        inline = true,
        with_virtual_padding = true,
        x = 0,
        y = row,
        height = state.config.output.image_height,
      })
      if not picture then
        return function() end
      end
      picture:render()
      return function()
        picture:clear()
      end
    end
  end,
}

--- Who draws pictures here, if anybody does.
---@return carpo.Drawer?
---@return string? name
function M.drawer()
  local chosen = state.config.output.images
  if not chosen then
    return nil
  end
  for _, name in ipairs(chosen == "auto" and { "snacks", "image" } or { chosen }) do
    local drawer = drawers[name]()
    if drawer then
      return drawer, name
    end
  end
end

---@param pictures carpo.Picture[]
function M.close(pictures)
  for _, picture in ipairs(pictures) do
    picture.close()
  end
end

--- Show the pictures of outputs below a row; those that are there already stay.
---@param bufnr integer
---@param row integer From 0.
---@param outputs carpo.Output[]
---@param shown carpo.Picture[]
---@return carpo.Picture[]
function M.show(bufnr, row, outputs, shown)
  local paths = {}
  for _, output in ipairs(outputs) do
    paths[#paths + 1] = output.picture
  end
  local same = vim.deep_equal(
    paths,
    vim.tbl_map(function(picture)
      return picture.path
    end, shown)
  )
  if same then
    return shown
  end
  M.close(shown)
  local drawer = #paths > 0 and M.drawer() or nil
  return vim.tbl_map(function(path)
    return { path = path, close = drawer and drawer(bufnr, row, path) or function() end }
  end, paths)
end

return M
