--- What the tests share. Each runs in a Neovim of its own: nvim -l tests/run.lua FILE [CASE]

local M = {}

--- Milliseconds after which a test stops waiting for what should have come long ago.
M.DEADLINE = 60000

--- The folder of the plugin.
M.plugin = vim.fs.dirname(vim.fs.dirname(vim.fs.abspath(debug.getinfo(1, "S").source:sub(2))))

--- What has been told to the user, in order.
---@type { text: string, level: integer }[]
M.told = {}

--- Load the plugin as a plugin manager would, and set it up.
---@param opts? table
---@return carpo
function M.setup(opts)
  vim.opt.runtimepath:prepend(M.plugin)
  vim.cmd.runtime("plugin/carpo.lua")
  vim.cmd.filetype("on")
  vim.notify = function(text, level)
    table.insert(M.told, { text = text, level = level or vim.log.levels.INFO })
  end
  vim.notify_once = vim.notify
  local carpo = require("carpo")
  carpo.setup(opts)
  return carpo
end

--- Wait until a condition holds, and return what it returned.
---@generic T
---@param what string
---@param condition fun(): T?
---@return T
function M.until_(what, condition)
  local found
  local held = vim.wait(M.DEADLINE, function()
    found = condition()
    return found
  end, 10)
  if not held then
    error(("waited in vain: %s\ntold: %s"):format(what, vim.inspect(M.told)), 2)
  end
  return found
end

---@param actual any
---@param expected any
function M.equal(actual, expected)
  if not vim.deep_equal(actual, expected) then
    error(("got %s\ninstead of %s"):format(vim.inspect(actual), vim.inspect(expected)), 2)
  end
end

---@param text string
---@param part string
function M.contains(text, part)
  if not text:find(part, 1, true) then
    error(("%q is not in %s"):format(part, vim.inspect(text)), 2)
  end
end

--- Wait for a message to the user.
---@param part string
---@return string text
function M.until_told(part)
  return M.until_("the message " .. part, function()
    for _, message in ipairs(M.told) do
      if message.text:find(part, 1, true) then
        return message.text
      end
    end
  end)
end

--- Poll an execution until its end.
---@param poll fun(): carpo.Event
---@param on_event? fun(event: carpo.Event)
---@return carpo.Event[] events
---@return carpo.Event last
function M.finish(poll, on_event)
  local events = {}
  local last
  M.until_("the end of an execution", function()
    local event = poll(0)
    if event.status == "idle" then
      last = event
      return true
    elseif event.type then
      events[#events + 1] = event
      if on_event then
        on_event(event)
      end
    end
  end)
  return events, last
end

--- All text of some events.
---@param events carpo.Event[]
---@return string
function M.text(events)
  local parts = {}
  for _, event in ipairs(events) do
    local data = event.data or {}
    parts[#parts + 1] = data.text or vim.tbl_get(data, "data", "text/plain")
  end
  return table.concat(parts)
end

--- Open a file with some lines.
---@param name string
---@param lines string[]
---@return integer bufnr
function M.open(name, lines)
  local path = vim.fs.joinpath(vim.fn.tempname() .. "-project", name)
  vim.fn.mkdir(vim.fs.dirname(path), "p")
  vim.fn.writefile(lines, path)
  vim.cmd.edit(path)
  return vim.api.nvim_get_current_buf()
end

--- What is drawn in a buffer: for each row, from 0, that has some, the text at its end and the
--- lines below.
---@param bufnr integer
---@return table<integer, { label: string, lines: string[], groups: table<string, any> }>
function M.drawn(bufnr)
  local namespace = vim.api.nvim_get_namespaces().carpo
  local found = {}
  local marks = vim.api.nvim_buf_get_extmarks(bufnr, namespace, 0, -1, { details = true })
  for _, mark in ipairs(marks) do
    local details = mark[4]
    if details.virt_text then
      local lines, groups = {}, {}
      for _, chunks in ipairs(details.virt_lines or {}) do
        local text = ""
        for index, chunk in ipairs(chunks) do
          if index > 1 then -- the bar at the left
            text = text .. chunk[1]
            groups[chunk[1]] = chunk[2]
          end
        end
        lines[#lines + 1] = text
      end
      found[mark[2]] = { label = details.virt_text[1][1], lines = lines, groups = groups }
    end
  end
  return found
end

--- Wait until what is drawn at a row has a label that begins with something, and return it.
---@param bufnr integer
---@param row integer
---@param label string
function M.until_drawn(bufnr, row, label)
  return M.until_(("%q at row %d"):format(label, row), function()
    local drawn = M.drawn(bufnr)[row]
    return drawn and vim.startswith(drawn.label, label) and drawn or nil
  end)
end

--- The sign at a row.
---@param bufnr integer
---@param row integer
---@return string?
function M.sign(bufnr, row)
  local namespace = vim.api.nvim_get_namespaces().carpo
  local marks = vim.api.nvim_buf_get_extmarks(
    bufnr,
    namespace,
    { row, 0 },
    { row, -1 },
    { details = true }
  )
  for _, mark in ipairs(marks) do
    if mark[4].sign_text and not mark[4].invalid then
      return vim.trim(mark[4].sign_text)
    end
  end
end

--- Put the cursor into a row and run a command there.
---@param row integer From 0.
---@param command string
function M.run(row, command)
  vim.api.nvim_win_set_cursor(0, { row + 1, 0 })
  vim.cmd.Carpo(command)
end

return M
