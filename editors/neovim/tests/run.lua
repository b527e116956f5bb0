--- Run the cases of a file of tests, or one of them:
---   nvim --clean -l editors/neovim/tests/run.lua editors/neovim/tests/cells.lua ["a case"]

local here = vim.fs.dirname(vim.fs.abspath(debug.getinfo(1, "S").source:sub(2)))
package.path = here .. "/?.lua;" .. package.path

local path, wanted = arg[1], arg[2]
local found = false
---@param name string
---@param body fun()
function _G.case(name, body)
  if wanted == nil or wanted == name then
    found = true
    local ok, problem = xpcall(body, debug.traceback)
    if not ok then
      io.stderr:write(("%s\n%s\n"):format(name, problem))
      os.exit(1)
    end
  end
end

dofile(path)
if not found then
  io.stderr:write(("no case %q in %s\n"):format(wanted, path))
  os.exit(1)
end
