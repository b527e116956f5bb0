--- Two kernels at once, in Lua alone: nvim -l editors/neovim/tests/test_multi_kernel.lua
---
--- It needs carpo-lsp on the PATH, and the kernels of Python and R.

local here = vim.fs.dirname(vim.fs.abspath(debug.getinfo(1, "S").source:sub(2)))
package.path = here .. "/?.lua;" .. package.path
local test = require("support")

local carpo = test.setup()

-- Discover the kernels.
local paths = {}
for path, spec in pairs(carpo.discover_kernels()) do
  print(("%-8s %s (%s)"):format(spec.language, spec.display_name, path))
  if spec.origin == "jupyter" and (spec.name == "python3" or spec.language == "R") then
    paths[spec.language:lower()] = path
  end
end
assert(paths.python, "no kernel for Python is installed")
assert(paths.r, "no kernel for R is installed")

-- Start both at once.
local started = {}
local function on_start(problem, kernel)
  assert(not problem, problem)
  started[kernel.kernel_id] = kernel
end
local python = carpo.start_kernel(paths.python, { on_start = on_start })
local r = carpo.start_kernel(paths.r, { on_start = on_start })
test.until_("both kernels", function()
  return started[python] and started[r]
end)
local running = carpo.list_kernels()
test.equal(vim.tbl_count(running), 2)
test.equal(running[python].language, "python")
test.equal(running[r].language:lower(), "r")

-- Run code in both, at the same time, the one between the other's outputs.
local both = {
  python = carpo.execute_code(python, "import time\nfor x in range(5): print(x); time.sleep(0.1)"),
  r = carpo.execute_code(r, "for (x in 5:9) { cat(x, '\\n'); Sys.sleep(0.1) }"),
}
local printed = { python = "", r = "" }
test.until_("the end of both", function()
  local busy = 0
  for name, poll in pairs(both) do
    local event = poll(0)
    if event.type == "stream" then
      printed[name] = printed[name] .. event.data.text
    elseif event.status == "idle" then
      assert(event.state == "ok", vim.inspect(event))
    end
    busy = busy + (event.status == "busy" and 1 or 0)
  end
  return busy == 0
end)
test.equal(printed.python, "0\n1\n2\n3\n4\n")
test.equal((printed.r:gsub(" ", "")), "5\n6\n7\n8\n9\n")

-- Each has its own state.
test.equal(test.text(test.finish(carpo.execute_code(python, "print(x)"))), "4\n")
test.equal(test.text(test.finish(carpo.execute_code(r, "cat(x)"))), "9")
test.finish(carpo.execute_code(python, "only_python = 1"))
local _, last = test.finish(carpo.execute_code(r, "only_python"))
test.equal(last.state, "error")
local events = test.finish(carpo.execute_code(r, "exists('only_python')"))
test.contains(test.text(events), "FALSE")

-- Both complete from what they hold.
test.equal(carpo.get_completions(python, "only_py").matches, { "only_python" })
test.finish(carpo.execute_code(r, "only_r <- 1"))
test.equal(carpo.get_completions(r, "only_").matches, { "only_r" })

-- One ends, the other goes on.
carpo.shutdown_kernel(r)
test.equal(vim.tbl_keys(carpo.list_kernels()), { python })
test.equal(test.text(test.finish(carpo.execute_code(python, "x + 1"))), "5")
carpo.shutdown_kernel(python)
test.equal(carpo.list_kernels(), {})
print("two kernels, each with its own state")
