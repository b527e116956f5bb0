--- The Lua API with real kernels.

local test = require("support")

---@return carpo
---@return string kernel_id
local function python()
  local carpo = test.setup()
  return carpo, (carpo.start_kernel("python3"))
end

case("a kernel is started, told of and ended", function()
  local carpo = test.setup()
  test.equal(carpo.list_kernels(), {})
  local id, kernel = carpo.start_kernel("python3", { env = { ANSWER = "42" } })
  test.equal(kernel.display_name, "Python 3 (ipykernel)")
  test.equal(kernel.status, "idle")
  local events = test.finish(carpo.execute_code(id, "import os; os.environ['ANSWER']"))
  test.equal(test.text(events), "'42'")
  local info = carpo.get_kernel_info(id)
  test.equal(info.kernel_info.language_info.name, "python")
  test.equal(carpo.list_kernels()[id].spec_name, "python3")
  carpo.shutdown_kernel(id)
  test.equal(carpo.list_kernels(), {})
  local ok, problem = pcall(carpo.get_kernel_info, id)
  test.equal(ok, false)
  test.contains(problem, id)
end)

case("what cannot be started says why", function()
  local carpo = test.setup()
  local ok, problem = pcall(carpo.start_kernel, "/nowhere/kernel.json")
  test.equal(ok, false)
  test.contains(problem, "/nowhere/kernel.json")
  local told
  carpo.start_kernel("no-such-spec", {
    on_start = function(text)
      told = text
    end,
  })
  test.until_("the answer", function()
    return told
  end)
  test.contains(told, "no-such-spec")
  ok, problem = pcall(carpo.start_kernel, "python3", { colour = "red" })
  test.equal(ok, false)
  test.contains(problem, '"colour"')
end)

case("a poll brings outputs in order and then the end", function()
  local carpo, id = python()
  local poll = carpo.execute_code(id, "print(1)\nimport sys; print(2, file=sys.stderr)\n3", {
    user_expressions = { sum = "1 + 3" },
  })
  local events, last = test.finish(poll)
  test.equal(
    events[1],
    { status = "busy", type = "stream", data = { name = "stdout", text = "1\n" } }
  )
  test.equal(events[2].data, { name = "stderr", text = "2\n" })
  test.equal(events[3].type, "execute_result")
  test.equal(events[3].data.data["text/plain"], "3")
  test.equal(last.state, "ok")
  test.equal(last.execution_count, 1)
  test.equal(last.user_expressions.sum.data["text/plain"], "4")
  test.equal(poll(), last)
end)

case("a loop that polls is enough", function()
  local carpo, id = python()
  local poll = carpo.execute_code(id, "for i in range(3): print(i, flush=True)")
  local text = ""
  while true do
    local event = poll()
    if event.status == "idle" then
      break
    elseif event.type == "stream" then
      text = text .. event.data.text
    end
  end
  test.equal(text, "0\n1\n2\n")
end)

case("displays are updated and cleared by messages", function()
  local carpo, id = python()
  local events = test.finish(carpo.execute_code(
    id,
    table.concat({
      "from IPython.display import display, clear_output",
      "shown = display('one', display_id='x')",
      "shown.update('two')",
      "clear_output(wait=True)",
    }, "\n")
  ))
  test.equal(events[1].type, "display_data")
  test.equal(events[1].data.transient, { display_id = "x" })
  test.equal(events[2].type, "update_display_data")
  test.equal(events[2].data.data["text/plain"], "'two'")
  test.equal(events[3], { status = "busy", type = "clear_output", data = { wait = true } })
end)

case("errors are events, and the end tells them", function()
  local carpo, id = python()
  local events, last = test.finish(carpo.execute_code(id, "1/0"))
  test.equal(events[1].type, "error")
  test.equal(events[1].data.ename, "ZeroDivisionError")
  test.equal(last.state, "error")
  test.equal(last.error.evalue, "division by zero")
end)

case("a prompt is answered", function()
  local carpo, id = python()
  local poll = carpo.execute_code(id, "name = input('Name? '); print('hello', name)")
  local prompt
  local events = test.finish(poll, function(event)
    if event.type == "input_request" then
      prompt = event.data
      carpo.provide_stdin(id, "Ada")
    end
  end)
  test.equal(prompt, { prompt = "Name? ", password = false })
  test.contains(test.text(events), "hello Ada")
  local ok, problem = pcall(carpo.provide_stdin, id, "again")
  test.equal(ok, false)
  test.contains(problem, "does not wait for input")
end)

case("completions count characters", function()
  local carpo, id = python()
  test.finish(carpo.execute_code(id, "thing = 'x'"))
  local code = "'äöü😀' + thing.upp"
  local found = carpo.get_completions(id, code)
  -- Where the match begins is the kernel's choice.
  local completed = vim.fn.strcharpart(code, 0, found.cursor_start) .. found.matches[1]
  test.equal(completed, "'äöü😀' + thing.upper")
  test.equal(found.cursor_end, 18)
  test.equal(carpo.get_completions(id, code, 12).matches, { "thing" })
end)

case("code is complete or not", function()
  local carpo, id = python()
  test.equal(carpo.is_complete(id, "1 + 1").status, "complete")
  test.equal(carpo.is_complete(id, "if x:"), { status = "incomplete", indent = "    " })
  test.equal(carpo.is_complete(id, "1 +* 1").status, "invalid")
end)

case("an interrupt ends what runs and what waits", function()
  local carpo, id = python()
  local poll = carpo.execute_code(id, "print('on', flush=True)\nwhile True: pass")
  local waiting = carpo.execute_code(id, "1")
  test.until_("the begin", function()
    return poll(0).type == "stream"
  end)
  carpo.interrupt(id)
  local _, last = test.finish(poll)
  test.equal(last.error.ename, "KeyboardInterrupt")
  _, last = test.finish(waiting)
  test.equal(last.state, "aborted")
  test.equal(test.text(test.finish(carpo.execute_code(id, "'alive'"))), "'alive'")
end)

case("a dead kernel is told and can be restarted", function()
  local carpo, id = python()
  local seen = {}
  vim.api.nvim_create_autocmd("User", {
    pattern = "CarpoKernel*",
    callback = function(event)
      if event.match ~= "CarpoKernelStatus" then
        seen[#seen + 1] = event.match
        test.equal(event.data.kernel_id, id)
      end
    end,
  })
  local _, last = test.finish(carpo.execute_code(id, "import os; os._exit(3)"))
  test.equal(last.state, "died")
  test.contains(test.until_told("has died"), ":Carpo restart")
  test.equal(carpo.list_kernels()[id].status, "dead")
  local ok, problem = pcall(carpo.execute_code, id, "1")
  test.equal(ok, false)
  test.contains(problem, "dead")
  test.equal(carpo.restart(id).status, "idle")
  test.equal(test.text(test.finish(carpo.execute_code(id, "'alive'"))), "'alive'")
  carpo.shutdown_kernel(id)
  test.until_("the end", function()
    return seen[#seen] == "CarpoKernelStopped"
  end)
  test.equal(
    seen,
    { "CarpoKernelDied", "CarpoKernelRestarting", "CarpoKernelStarted", "CarpoKernelStopped" }
  )
end)

case("a server that dies takes its kernels along, and comes back", function()
  local carpo, id = python()
  local poll = carpo.execute_code(id, "print('on', flush=True)\nimport time; time.sleep(600)")
  test.until_("the begin", function()
    return poll(0).type == "stream"
  end)
  local stopped
  vim.api.nvim_create_autocmd("User", {
    pattern = "CarpoKernelStopped",
    callback = function(event)
      stopped = event.data
    end,
  })
  vim.lsp.get_clients({ name = "carpo" })[1].rpc.terminate()
  local _, last = test.finish(poll)
  test.equal(last.state, "died")
  test.equal(stopped.kernel_id, id)
  test.until_told("The next run starts it again")
  test.equal(carpo.list_kernels(), {})
  local again = carpo.start_kernel("python3")
  test.equal(test.text(test.finish(carpo.execute_code(again, "1 + 1"))), "2")
end)

case("without the server the user is told how to install it", function()
  local carpo = test.setup({ cmd = { "no-such-carpo-lsp" } })
  local ok, problem = pcall(carpo.start_kernel, "python3")
  test.equal(ok, false)
  test.contains(problem, "no-such-carpo-lsp")
  test.contains(problem, "pipx install")
  test.open("code.py", { "1" })
  test.until_told("pipx install")
  test.equal(vim.lsp.get_clients(), {})
end)

case("before setup the user is told of it", function()
  vim.opt.runtimepath:prepend(test.plugin)
  local ok, problem = pcall(require("carpo").start_kernel, "python3")
  test.equal(ok, false)
  test.contains(problem, 'require("carpo").setup{}')
end)

case("setup takes what it knows", function()
  vim.opt.runtimepath:prepend(test.plugin)
  local carpo = require("carpo")
  for given, part in pairs({
    [{ colour = 1 }] = '"colour"',
    [{ output = { lines = 1 } }] = '"output.lines"',
    [{ output = { max_lines = "many" } }] = "output.max_lines",
    [{ output = { images = "kitty" } }] = "output.images",
    [{ signs = { fine = "x" } }] = '"signs.fine"',
    [{ cmd = "carpo-lsp" }] = "cmd",
  }) do
    local ok, problem = pcall(carpo.setup, given)
    test.equal(ok, false)
    test.contains(problem, part)
  end
end)

case("the help has every function, option, command and highlight group", function()
  local carpo = test.setup()
  local folder = vim.fn.tempname()
  vim.fn.mkdir(folder)
  local path = vim.fs.joinpath(folder, "carpo.txt")
  assert(vim.uv.fs_copyfile(vim.fs.joinpath(test.plugin, "doc", "carpo.txt"), path))
  vim.cmd.helptags(folder)
  local tags = table.concat(vim.fn.readfile(vim.fs.joinpath(folder, "tags")), "\n")
  for name in pairs(carpo) do
    test.contains(tags, name == "setup" and "carpo-setup" or ("carpo.%s()"):format(name))
  end
  local text = table.concat(vim.fn.readfile(path), "\n")
  local config = require("carpo.config").defaults
  for _, options in ipairs({ config, config.output, config.signs }) do
    for name in pairs(options) do
      test.contains(text, name .. " = ")
    end
  end
  for name in pairs(require("carpo.commands").commands) do
    test.contains(text, "\n" .. name .. " ")
  end
  for _, group in ipairs(vim.fn.getcompletion("Carpo", "highlight")) do
    test.contains(text, group)
  end
end)
