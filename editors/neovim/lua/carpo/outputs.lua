--- Jupyter outputs (nbformat 4) as lines of text and pictures.

local Text = require("carpo.text")

---@class carpo.Output
---@field kind "stream"|"data"|"error"
---@field name? "stdout"|"stderr" Of a stream.
---@field text carpo.Text
---@field display_id? string
---@field picture? string Path of a picture, which is shown in place of the text.
---@field note? string What is to be said below the text.

local M = {}

--- Text types, in the order of preference.
local TEXTS = { "text/plain", "text/markdown", "text/latex", "application/json", "text/html" }

--- Picture types and the ends of their files' names.
local PICTURES = {
  { "image/png", "png" },
  { "image/jpeg", "jpg" },
  { "image/gif", "gif" },
  { "image/webp", "webp" },
  { "image/svg+xml", "svg" },
}

---@param value any
---@return string
local function as_text(value)
  if type(value) == "string" then
    return value
  elseif vim.islist(value) and type(value[1]) == "string" then
    return table.concat(value) -- nbformat may have lines in a list
  end
  return vim.json.encode(value)
end

--- Write the picture of some data to a file, which goes away with Neovim.
---@param data table<string, any>
---@return string? path
local function picture(data)
  for _, each in ipairs(PICTURES) do
    local mime, ending = each[1], each[2]
    if data[mime] then
      local content = as_text(data[mime])
      if ending ~= "svg" then
        local ok, decoded = pcall(vim.base64.decode, (content:gsub("%s", "")))
        if not ok then
          return nil -- not a picture; its text is shown
        end
        content = decoded
      end
      local path = vim.fn.tempname() .. "." .. ending
      local file, reason = io.open(path, "wb")
      if not file then
        vim.notify("carpo: a picture cannot be written: " .. reason, vim.log.levels.WARN)
        return nil
      end
      file:write(content)
      file:close()
      return path
    end
  end
end

---@param data table<string, any>
---@return string
local function plain(data)
  for _, mime in ipairs(TEXTS) do
    if data[mime] then
      return as_text(data[mime])
    end
  end
  local mimes = vim.tbl_keys(data)
  table.sort(mimes)
  return mimes[1] and ("(%s)"):format(table.concat(mimes, ", ")) or ""
end

---@param output table
---@return string?
local function note(output)
  local about = vim.tbl_get(output, "metadata", "carpo")
  if type(about) ~= "table" or not about.truncated then
    return nil
  end
  local size = ("%.1f MB"):format((about.bytes or 0) / 1e6)
  if not about.path or about.path == vim.NIL then
    return ("cut: the whole of it, %s, found no room on the disk"):format(size)
  end
  return ("cut: the whole of it, %s, is in %s"):format(size, about.path)
end

--- Add to the text of a stream.
---@param output carpo.Output
---@param raw table A stream output.
function M.extend(output, raw)
  output.text:feed(as_text(raw.text))
  output.note = note(raw) or output.note
end

--- Whether stream text continues an output.
---@param output carpo.Output?
---@param raw table
---@return boolean
function M.continues(output, raw)
  return output ~= nil
    and raw.output_type == "stream"
    and output.kind == "stream"
    and output.name == raw.name
end

---@param raw table An nbformat output.
---@param keep number How many lines to keep at each end.
---@param display_id? string
---@return carpo.Output
function M.new(raw, keep, display_id)
  ---@type carpo.Output
  local output = { kind = "data", text = Text.new(keep), display_id = display_id, note = note(raw) }
  if raw.output_type == "stream" then
    output.kind, output.name = "stream", raw.name
    output.text:feed(as_text(raw.text))
  elseif raw.output_type == "error" then
    output.kind = "error"
    local traceback = table.concat(raw.traceback or {}, "\n")
    if traceback == "" then
      traceback = ("%s: %s"):format(raw.ename, raw.evalue)
    end
    output.text:feed(traceback)
  else
    local data = raw.data or {}
    -- What was cut is no picture that could be shown.
    output.picture = not output.note and picture(data) or nil
    if not output.picture then
      output.text:feed(plain(data))
    end
  end
  return output
end

--- How many lines an output has.
---@param output carpo.Output
---@return integer
function M.count(output)
  return (output.picture and 1 or output.text:count()) + (output.note and 1 or 0)
end

---@param output carpo.Output
---@param index integer From 1.
---@return string? line
---@return carpo.Style? style
---@return string group The highlight group of what has no colour of its own.
function M.line(output, index)
  if output.note and index == M.count(output) then
    return output.note, nil, "CarpoNote"
  elseif output.picture then
    return output.picture, nil, "CarpoNote"
  end
  local line, style = output.text:line(index)
  local group = output.kind == "error" and "CarpoError"
    or output.name == "stderr" and "CarpoStderr"
    or "CarpoOutput"
  return line, style, group
end

return M
