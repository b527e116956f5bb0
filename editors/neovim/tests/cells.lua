--- What is drawn in buffers, with real kernels.

local test = require("support")

--- A percent script with one cell for each argument, and the rows of their last lines.
---@param ... string
---@return integer bufnr
---@return integer[] last
---@return integer[] first
local function script(...)
  test.setup()
  local lines, first, last = {}, {}, {}
  for _, code in ipairs({ ... }) do
    lines[#lines + 1] = "# %%"
    first[#first + 1] = #lines
    vim.list_extend(lines, vim.split(code, "\n"))
    last[#last + 1] = #lines - 1
  end
  return test.open("script.py", lines), last, first
end

---@param bufnr integer
---@return string[]
local function rows_drawn(bufnr)
  local rows = vim.tbl_keys(test.drawn(bufnr))
  table.sort(rows)
  return rows
end

case("a result stands below its cell", function()
  local bufnr, last, first = script("x = 40\nx + 2", "print('other')")
  test.run(first[1], "run-cell")
  local drawn = test.until_drawn(bufnr, last[1], "✓ [1]")
  test.equal(drawn.lines, { "42" })
  test.equal(test.sign(bufnr, first[1]), "✓")
  test.equal(rows_drawn(bufnr), { last[1] })
  test.equal(require("carpo").status(), "Python 3 (ipykernel) idle")
end)

case("an error is told, in colours", function()
  local bufnr, last, first = script("1/0")
  test.run(first[1], "run-cell")
  local drawn = test.until_drawn(bufnr, last[1], "✗ ZeroDivisionError [1]")
  test.contains(table.concat(drawn.lines, "\n"), "ZeroDivisionError: division by zero")
  test.equal(test.sign(bufnr, first[1]), "✗")
  local coloured = vim.tbl_filter(function(group)
    return type(group) == "table" and vim.startswith(group[2], "CarpoAnsi_")
  end, drawn.groups)
  assert(next(coloured), "no colours")
end)

case("what is long is drawn in part, and whole in a float", function()
  local bufnr, last, first = script("for i in range(100000): print(i)")
  test.run(first[1], "run-cell")
  local lines = test.until_drawn(bufnr, last[1], "✓").lines
  test.equal(#lines, 12)
  test.equal(lines[1], "0")
  test.equal(lines[7], "⋯ 99989 more lines, `:Carpo output` shows them")
  test.equal(lines[12], "99999")
  vim.cmd.Carpo("output")
  local window = vim.api.nvim_get_current_win()
  test.equal(vim.api.nvim_win_get_config(window).relative, "editor")
  test.until_("the whole output", function()
    return vim.api.nvim_buf_line_count(0) == 100000
  end)
  test.equal(vim.api.nvim_buf_get_lines(0, 54321, 54322, false), { "54321" })
  vim.api.nvim_feedkeys("q", "xt", false)
  test.equal(vim.api.nvim_get_current_buf(), bufnr)
  assert(not vim.api.nvim_win_is_valid(window))
end)

case("the float grows with the output", function()
  local bufnr, last, first = script("import time\nprint('one', flush=True)\ninput()\nprint('two')")
  vim.ui.input = function() end
  test.run(first[1], "run-cell")
  test.until_drawn(bufnr, last[1], "?")
  vim.cmd.Carpo("output")
  local float = vim.api.nvim_get_current_buf()
  test.until_("the begin", function()
    return vim.api.nvim_buf_get_lines(float, 0, 1, false)[1] == "one"
  end)
  local kernel_id = next(require("carpo").list_kernels())
  require("carpo").provide_stdin(kernel_id, "go on")
  test.until_("the rest", function()
    return vim.list_contains(vim.api.nvim_buf_get_lines(float, 0, -1, false), "two")
  end)
end)

case("outputs are updated, cleared and overwritten", function()
  local bufnr, last, first = script(
    "from IPython.display import display, clear_output\nprint('gone')\nclear_output()\n"
      .. "shown = display('one', display_id='x')\nprint(' 10%\\r 20%\\r100%')\nshown.update('two')"
  )
  test.run(first[1], "run-cell")
  test.equal(test.until_drawn(bufnr, last[1], "✓").lines, { "'two'", "100%" })
end)

case("a clearing that waits is for the next output", function()
  local bufnr, last, first = script(
    "from IPython.display import clear_output\nprint('stays')\nclear_output(wait=True)",
    "print('gone')\nclear_output(wait=True)\nprint('new')"
  )
  test.run(first[1], "run-all")
  test.equal(test.until_drawn(bufnr, last[2], "✓").lines, { "new" })
  test.equal(test.drawn(bufnr)[last[1]].lines, { "stays" })
end)

case("a display is updated from a later cell", function()
  local bufnr, last, first = script("shown = display('one', display_id='x')", "shown.update('two')")
  test.run(first[1], "run-all")
  test.until_drawn(bufnr, last[2], "✓")
  test.until_("the update", function()
    return vim.deep_equal(test.drawn(bufnr)[last[1]].lines, { "'two'" })
  end)
end)

case("a cell that runs again takes its output's place", function()
  local bufnr, last, first = script("n = globals().get('n', 0) + 1\nn")
  test.run(first[1], "run-cell")
  test.equal(test.until_drawn(bufnr, last[1], "✓ [1]").lines, { "1" })
  test.run(first[1], "run-cell")
  test.equal(test.until_drawn(bufnr, last[1], "✓ [2]").lines, { "2" })
  local namespace = vim.api.nvim_get_namespaces().carpo
  test.equal(#vim.api.nvim_buf_get_extmarks(bufnr, namespace, 0, -1, {}), 3)
end)

case("the last output stays until there is a new one", function()
  local bufnr, last, first = script("import os\nprint('out')\nif os.path.exists(mark): input()")
  vim.ui.input = function() end
  vim.api.nvim_buf_set_lines(bufnr, 1, 2, false, { "import os; mark = 'mark'" })
  test.run(first[1], "run-cell")
  test.equal(test.until_drawn(bufnr, last[1], "✓").lines, { "out" })
  vim.api.nvim_buf_set_lines(bufnr, 2, 3, false, { "open(mark, 'w'), input()" })
  test.run(first[1], "run-cell")
  test.equal(test.until_drawn(bufnr, last[1], "?").lines, { "out" })
end)

case("outputs follow the text while it is edited", function()
  local bufnr, last, first = script("import time\nfor i in range(2): print(i); input()\n3", "4")
  local answers = {}
  vim.ui.input = function(_, on_answer)
    answers[#answers + 1] = on_answer
  end
  test.run(first[1], "run-cell")
  test.until_drawn(bufnr, last[1], "?")
  vim.api.nvim_buf_set_lines(bufnr, 0, 0, false, { "# one", "# two" })
  test.until_drawn(bufnr, last[1] + 2, "?")
  answers[1]("x")
  test.until_("the second prompt", function()
    return answers[2]
  end)
  vim.api.nvim_win_set_cursor(0, { first[1] + 3, 0 })
  vim.api.nvim_feedkeys("Oabove = 1\27", "xt", false)
  answers[2]("x")
  local drawn = test.until_drawn(bufnr, last[1] + 3, "✓")
  test.equal(drawn.lines[#drawn.lines], "3")
  test.equal(test.sign(bufnr, first[1] + 2), "✓")
end)

case("outputs follow code that loses lines, goes and comes back", function()
  local bufnr, last, first = script("1\n2", "3")
  test.run(first[1], "run-cell")
  test.until_drawn(bufnr, last[1], "✓")
  local function type_(keys)
    local typed = vim.api.nvim_replace_termcodes(keys, true, false, true)
    vim.api.nvim_feedkeys(typed, "xt", false)
    -- Keys that are fed run no TextChanged: it comes when Neovim waits for the next one.
    vim.api.nvim_exec_autocmds("TextChanged", { buffer = bufnr })
  end
  vim.api.nvim_win_set_cursor(0, { last[1] + 1, 0 })
  type_("oadded<Esc>kA + 1<CR>added<Esc>")
  test.equal(rows_drawn(bufnr), { last[1] })
  type_("k")
  type_("Oabove<Esc>")
  test.equal(rows_drawn(bufnr), { last[1] + 1 })
  type_("uu")
  test.equal(rows_drawn(bufnr), { last[1] })
  vim.api.nvim_win_set_cursor(0, { last[1] + 1, 0 })
  type_("dd")
  test.equal(rows_drawn(bufnr), { last[1] - 1 })
  vim.api.nvim_win_set_cursor(0, { first[1] + 1, 0 })
  type_("dd")
  test.equal(rows_drawn(bufnr), {})
  type_("u")
  test.equal(rows_drawn(bufnr), { last[1] - 1 })
  test.equal(test.drawn(bufnr)[last[1] - 1].lines, { "2" })
end)

case("a statement's output stands in its cell", function()
  local bufnr, last, first = script("1 + 1\n2 + 2\n3 + 3")
  test.run(first[1], "run-cell")
  test.until_drawn(bufnr, last[1], "✓")
  test.run(first[1] + 1, "run-statement")
  test.equal(test.until_drawn(bufnr, first[1] + 1, "✓").lines, { "4" })
  test.equal(test.drawn(bufnr)[last[1]].lines, { "6" })
  test.run(first[1], "run-cell")
  test.until_drawn(bufnr, last[1], "✓ [3]")
  test.equal(rows_drawn(bufnr), { last[1] })
end)

case("a selection and a range run what they hold", function()
  local bufnr, last, first = script("1 + 1\n2 + 2\n3 + 3")
  vim.api.nvim_win_set_cursor(0, { first[1] + 1, 0 })
  vim.cmd({ cmd = "Carpo", range = { first[1] + 1, first[1] + 2 } })
  test.equal(test.until_drawn(bufnr, first[1] + 1, "✓").lines, { "4" })
  vim.keymap.set("x", "<F5>", "<Plug>(carpo-run-selection)")
  vim.api.nvim_win_set_cursor(0, { last[1] + 1, 0 })
  vim.api.nvim_feedkeys(vim.api.nvim_replace_termcodes("v$<F5>", true, false, true), "xt", false)
  test.equal(test.until_drawn(bufnr, last[1], "✓ [2]").lines, { "6" })
  test.equal(vim.api.nvim_get_mode().mode, "n")
end)

case("keys run cells and go on", function()
  local bufnr, last, first = script("'ä', 1", "2")
  vim.keymap.set("n", "<F5>", "<Plug>(carpo-run-cell-and-advance)")
  vim.api.nvim_win_set_cursor(0, { first[1] + 1, 0 })
  vim.api.nvim_feedkeys(vim.api.nvim_replace_termcodes("<F5>", true, false, true), "xt", false)
  test.until_drawn(bufnr, last[1], "✓")
  test.until_("the next cell", function()
    return vim.api.nvim_win_get_cursor(0)[1] == first[2] + 1
  end)
end)

case("prompts are answered one after the other", function()
  local bufnr, last, first = script("name = input('Name? ')\nword = input('Word? ')\nname + word")
  local asked = {}
  vim.ui.input = function(opts, on_answer)
    asked[#asked + 1] = opts.prompt
    on_answer(("answer %d "):format(#asked))
  end
  test.run(first[1], "run-cell")
  test.equal(test.until_drawn(bufnr, last[1], "✓").lines, { "'answer 1 answer 2 '" })
  test.equal(asked, { "Name? ", "Word? " })
end)

case("of two kernels that ask, one is answered first", function()
  test.setup()
  local asked = {}
  vim.ui.input = function(opts, on_answer)
    asked[#asked + 1] = { prompt = opts.prompt, answer = on_answer }
  end
  local buffers = {}
  for _, name in ipairs({ "one", "two" }) do
    buffers[name] = test.open(name .. ".py", { "# %%", ("input('%s')"):format(name) })
    test.run(1, "run-cell")
    test.until_drawn(buffers[name], 1, "? waits for input")
  end
  test.equal(#asked, 1)
  asked[1].answer("x")
  test.until_drawn(buffers.one, 1, "✓")
  test.until_("the other prompt", function()
    return asked[2]
  end)
  test.equal(asked[2].prompt, "two")
  asked[2].answer("y")
  test.until_drawn(buffers.two, 1, "✓")
end)

case("a prompt that was left can be answered later", function()
  local bufnr, last, first = script("input('Name? ')")
  local answer
  vim.ui.input = function(_, on_answer)
    on_answer(answer)
  end
  test.run(first[1], "run-cell")
  test.until_drawn(bufnr, last[1], "? waits for input")
  test.until_told("`:Carpo answer` asks again")
  answer = "Ada"
  vim.cmd.Carpo("answer")
  test.contains(table.concat(test.until_drawn(bufnr, last[1], "✓").lines), "'Ada'")
  vim.cmd.Carpo("answer")
  test.until_told("no code waits for input")
end)

case("passwords are not shown", function()
  local bufnr, last, first = script("import getpass\nlen(getpass.getpass('Key: '))")
  local asked
  vim.fn.inputsecret = function(opts)
    asked = opts.prompt
    return "secret"
  end
  test.run(first[1], "run-cell")
  test.equal(test.until_drawn(bufnr, last[1], "✓").lines, { "6" })
  test.equal(asked, "Key: ")
end)

case("an interrupt is shown", function()
  local bufnr, last, first = script("print('on', flush=True)\nwhile True: pass", "2")
  test.run(first[1], "run-all")
  test.until_("the begin", function()
    local drawn = test.drawn(bufnr)[last[1]]
    return drawn and drawn.lines[1] == "on"
  end)
  test.equal(test.sign(bufnr, first[1]), "●")
  test.equal(test.sign(bufnr, first[2]), "○")
  vim.cmd.Carpo("interrupt")
  test.until_drawn(bufnr, last[1], "✗ KeyboardInterrupt")
  test.until_drawn(bufnr, last[2], "– not run")
end)

case("a death is shown, and a restart mends it", function()
  local bufnr, last, first = script("import os; os._exit(1)", "'alive'")
  test.run(first[1], "run-cell")
  test.until_drawn(bufnr, last[1], "† the kernel died")
  test.until_told("has died")
  vim.cmd.Carpo("restart")
  test.until_("the restart", function()
    return require("carpo").status() == "Python 3 (ipykernel) idle"
  end)
  test.run(first[2], "run-cell")
  test.equal(test.until_drawn(bufnr, last[2], "✓").lines, { "'alive'" })
end)

case("a run starts a server that has died", function()
  local bufnr, last, first = script("input()", "'alive'")
  vim.ui.input = function() end
  test.run(first[1], "run-cell")
  test.until_drawn(bufnr, last[1], "?")
  vim.lsp.get_clients({ name = "carpo" })[1].rpc.terminate()
  test.until_drawn(bufnr, last[1], "† the kernel died")
  test.until_told("The next run starts it again")
  test.run(first[2], "run-cell")
  test.equal(test.until_drawn(bufnr, last[2], "✓").lines, { "'alive'" })
end)

case("outputs come back with a buffer that is read again", function()
  local bufnr, last, first = script("1", "2", "3")
  test.run(first[1], "run-all")
  test.until_drawn(bufnr, last[3], "✓")
  -- Somebody else adds a line above, and changes the second cell.
  local lines = vim.api.nvim_buf_get_lines(bufnr, 0, -1, false)
  lines[first[2] + 1] = "2 + 0"
  table.insert(lines, 1, "# new")
  vim.fn.writefile(lines, vim.api.nvim_buf_get_name(bufnr))
  vim.cmd.edit({ bang = true })
  test.equal(rows_drawn(bufnr), { last[1] + 1, last[3] + 1 })
  test.equal(test.drawn(bufnr)[last[3] + 1].lines, { "3" })
  -- And once more, without being asked.
  table.insert(lines, 1, "# newer")
  vim.o.autoread = true
  vim.fn.writefile(lines, vim.api.nvim_buf_get_name(bufnr))
  vim.uv.fs_utime(vim.api.nvim_buf_get_name(bufnr), 2000000000, 2000000000)
  vim.cmd.checktime()
  test.equal(vim.api.nvim_buf_get_lines(bufnr, 0, 1, false), { "# newer" })
  test.equal(rows_drawn(bufnr), { last[1] + 2, last[3] + 2 })
end)

case("outputs come back with a buffer that was unloaded, also those that came meanwhile", function()
  local bufnr, last, first = script("print('one')\ninput()\nprint('two')")
  vim.ui.input = function() end
  test.run(first[1], "run-cell")
  test.until_drawn(bufnr, last[1], "?")
  vim.cmd.enew()
  vim.api.nvim_buf_delete(bufnr, { unload = true })
  test.equal(vim.api.nvim_buf_is_loaded(bufnr), false)
  local ended
  vim.api.nvim_create_autocmd("User", {
    pattern = "CarpoExecutionDone",
    callback = function(event)
      ended = event.data
    end,
  })
  local kernel_id = next(require("carpo").list_kernels())
  require("carpo").provide_stdin(kernel_id, "")
  test.until_("the end", function()
    return ended
  end)
  test.equal(ended.state, "ok")
  test.equal(ended.buf, bufnr)
  vim.cmd.buffer(bufnr)
  local lines = test.until_drawn(bufnr, last[1], "✓").lines
  test.equal({ lines[1], lines[#lines] }, { "one", "two" })
end)

case("outputs come back with a file that is opened again", function()
  local bufnr, last, first = script("1", "print('\27[31mred\27[0m')\n1/0", "3")
  test.run(first[1], "run-all")
  test.until_drawn(bufnr, last[3], "– not run")
  local path = vim.api.nvim_buf_get_name(bufnr)
  vim.cmd.bwipeout()
  vim.cmd.edit(path)
  bufnr = vim.api.nvim_get_current_buf()
  test.equal(test.until_drawn(bufnr, last[1], "✓ [1]").lines, { "1" })
  test.equal(test.until_drawn(bufnr, last[2], "✗ ").lines[1], "red")
  test.equal(test.sign(bufnr, first[3]), "–")
end)

case("a buffer that is wiped out leaves nothing behind", function()
  local bufnr, last, first =
    script("import time\nwhile True: print(1, flush=True); time.sleep(0.01)")
  test.run(first[1], "run-cell")
  test.until_drawn(bufnr, last[1], "●")
  local kernel_id = next(require("carpo").list_kernels())
  vim.api.nvim_buf_delete(bufnr, { force = true })
  local state = require("carpo.state")
  test.equal({ next(state.buffers), next(state.executions) }, {})
  require("carpo").interrupt(kernel_id)
  test.until_("the end", function()
    return require("carpo").list_kernels()[kernel_id].status == "idle"
  end)
  test.equal({ next(state.buffers), next(state.executions), next(state.dirty) }, {})
  test.equal(test.told, {})
end)

case("outputs are cleared", function()
  local bufnr, last, first = script("1", "2", "3")
  test.run(first[1], "run-all")
  test.until_drawn(bufnr, last[3], "✓")
  test.run(first[2], "clear")
  test.equal(rows_drawn(bufnr), { last[1], last[3] })
  test.equal(test.sign(bufnr, first[2]), nil)
  vim.cmd.Carpo("clear-all")
  test.equal(rows_drawn(bufnr), {})
  test.equal(vim.tbl_count(require("carpo.state").executions), 0)
end)

case("a buffer in two windows has its outputs once", function()
  local bufnr, last, first = script("1")
  vim.cmd.split()
  test.run(first[1], "run-cell")
  test.equal(test.until_drawn(bufnr, last[1], "✓").lines, { "1" })
  vim.cmd.close()
  test.equal(test.drawn(bufnr)[last[1]].lines, { "1" })
end)

case("what is wrong with a kernel is told", function()
  test.setup()
  local kernel = { displayName = "Python 3", documents = {} }
  local function on_status(status, reason)
    require("carpo.kernels").on_status({
      kernelId = "x",
      status = status,
      reason = reason,
      kernel = kernel,
    })
  end
  on_status("busy")
  test.equal(test.told, {})
  on_status("busy", "It takes 80 % of its memory.")
  test.until_told("Python 3: It takes 80 % of its memory.")
end)

case("the kernel is chosen", function()
  local bufnr, last, first = script("'chosen'")
  local titles
  vim.ui.select = function(items, opts, on_choice)
    titles = vim.tbl_map(opts.format_item or tostring, items)
    for index, title in ipairs(titles) do
      if title:find("Python 3 (ipykernel)", 1, true) then
        return on_choice(items[index], index)
      end
    end
    on_choice(nil)
  end
  test.run(first[1], "select")
  test.until_("the kernel", function()
    return require("carpo").status() == "Python 3 (ipykernel) idle"
  end)
  assert(#titles > 0)
  test.run(first[1], "run-cell")
  test.until_drawn(bufnr, last[1], "✓")
end)

case("pictures are drawn by who can, else their path is shown", function()
  local placed, closed = {}, {}
  package.preload.snacks = function()
    return {
      image = {
        supports_terminal = function()
          return true
        end,
        placement = {
          new = function(buf, path, opts)
            placed[#placed + 1] = { buf = buf, path = path, row = opts.pos[1] }
            return {
              close = function()
                closed[#closed + 1] = path
              end,
            }
          end,
        },
      },
    }
  end
  local code = "from IPython.display import SVG, display\n"
    .. "display(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'))"
  local bufnr, last, first = script(code)
  test.run(first[1], "run-cell")
  local lines = test.until_drawn(bufnr, last[1], "✓").lines
  test.equal(#placed, 1)
  test.equal({ placed[1].buf, placed[1].row }, { bufnr, last[1] + 1 })
  test.equal(lines, { placed[1].path })
  test.contains(vim.fn.readfile(placed[1].path)[1], "<svg")
  vim.cmd.Carpo("clear-all")
  test.equal(closed, { placed[1].path })
end)

case("image.nvim draws where there is no snacks.nvim", function()
  local asked, rendered, cleared = {}, 0, 0
  package.preload.image = function()
    return {
      from_file = function(path, opts)
        asked[#asked + 1] = { path = path, buffer = opts.buffer, row = opts.y }
        return {
          render = function()
            rendered = rendered + 1
          end,
          clear = function()
            cleared = cleared + 1
          end,
        }
      end,
    }
  end
  local code = "from IPython.display import SVG, display\n"
    .. "display(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'))"
  local bufnr, last, first = script(code)
  test.run(first[1], "run-cell")
  local lines = test.until_drawn(bufnr, last[1], "✓").lines
  test.equal({ #asked, rendered }, { 1, 1 })
  test.equal({ asked[1].buffer, asked[1].row }, { bufnr, last[1] })
  test.equal(lines, { asked[1].path })
  vim.cmd.Carpo("clear-all")
  test.equal(cleared, 1)
end)

case("a colour scheme keeps the colours", function()
  local bufnr, last, first = script("1/0")
  test.run(first[1], "run-cell")
  test.until_drawn(bufnr, last[1], "✗")
  vim.cmd.colorscheme("habamax")
  require("carpo.cells").flush()
  for _, group in pairs(test.drawn(bufnr)[last[1]].groups) do
    for _, name in ipairs(type(group) == "table" and group or { group }) do
      assert(next(vim.api.nvim_get_hl(0, { name = name })), name)
    end
  end
end)

case("the end of an execution is drawn before other changes would be", function()
  local _, _, first = script("1")
  local state = require("carpo.state")
  local due
  vim.api.nvim_create_autocmd("User", {
    pattern = "CarpoExecutionDone",
    callback = function()
      due = state.timer:get_due_in()
    end,
  })
  test.run(first[1], "run-cell")
  test.until_("the end", function()
    return due
  end)
  assert(due <= 10, due)
end)

case("nothing of the plugin runs while text is typed", function()
  local bufnr, last, first = script("for i in range(100000): print(i)", "x = 1", "2")
  test.run(first[1], "run-all")
  test.until_drawn(bufnr, last[3], "✓")
  test.until_("quiet", function()
    return next(require("carpo.state").dirty) == nil
  end)
  local calls = 0
  local function type_(keys)
    calls = 0
    -- Hooks do not see compiled code.
    jit.off()
    jit.flush()
    debug.sethook(function()
      if debug.getinfo(2, "S").source:find("/lua/carpo/", 1, true) then
        calls = calls + 1
      end
    end, "c")
    vim.api.nvim_feedkeys(vim.api.nvim_replace_termcodes(keys, true, false, true), "xt", false)
    debug.sethook()
    jit.on()
    return calls
  end
  vim.api.nvim_win_set_cursor(0, { last[2] + 1, 0 })
  -- The end of insert mode is noticed, once; the hook has seen that.
  local once = type_("A + 1")
  assert(once > 0)
  test.equal(type_("A" .. (" + 1"):rep(200)), once)
end)

case("commands are completed, and unknown ones refused", function()
  script("1")
  local names = vim.fn.getcompletion("Carpo run-", "cmdline")
  test.equal(names[1], "run-above")
  test.equal(#names, 7)
  vim.cmd.Carpo("fly")
  test.until_told('"fly" is no command')
  -- Each has its key.
  for _, name in ipairs(vim.fn.getcompletion("Carpo ", "cmdline")) do
    assert(vim.fn.maparg(("<Plug>(carpo-%s)"):format(name), "n") ~= "", name)
  end
end)

case("health is checked", function()
  test.setup()
  vim.cmd.checkhealth("carpo")
  local text = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")
  test.contains(text, "OK Neovim 0.")
  test.contains(text, "carpo-lsp --version")
  test.contains(text, "Python 3 (ipykernel)")
  assert(not text:find("ERROR", 1, true), text)
end)
