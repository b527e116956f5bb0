--- Text with ANSI escapes as chunks of text and highlight group.

local state = require("carpo.state")

---@class carpo.Style The look that SGR escapes have set so far; never changed once made.
---@field fg? integer|string A palette index, or "#rrggbb".
---@field bg? integer|string
---@field bold? true
---@field italic? true
---@field underline? true
---@field strikethrough? true
---@field reverse? true
---@field dim? true

local M = {}

local ESC = "\27"

--- The first sixteen colours where the colour scheme sets no g:terminal_color_N: those of xterm.
local XTERM = {
  [0] = "#000000",
  "#cd3131",
  "#0dbc79",
  "#b5a000",
  "#2472c8",
  "#bc3fbc",
  "#11a8cd",
  "#c0c0c0",
  "#767676",
  "#f14c4c",
  "#23d18b",
  "#d7ba00",
  "#3b8eea",
  "#d670d6",
  "#29b8db",
  "#ffffff",
}

---@param index integer
---@return string # As "#rrggbb".
local function palette(index)
  if index < 16 then
    return vim.g["terminal_color_" .. index] or XTERM[index]
  elseif index >= 232 then
    local grey = 8 + 10 * (index - 232)
    return ("#%02x%02x%02x"):format(grey, grey, grey)
  end
  local function level(value)
    return value == 0 and 0 or 55 + 40 * value
  end
  local cube = index - 16
  return ("#%02x%02x%02x"):format(
    level(math.floor(cube / 36)),
    level(math.floor(cube / 6) % 6),
    level(cube % 6)
  )
end

local FLAGS = {
  [1] = "bold",
  [2] = "dim",
  [3] = "italic",
  [4] = "underline",
  [7] = "reverse",
  [9] = "strikethrough",
}
local UNSET = {
  [22] = { "bold", "dim" },
  [23] = { "italic" },
  [24] = { "underline" },
  [27] = { "reverse" },
  [29] = { "strikethrough" },
  [39] = { "fg" },
  [49] = { "bg" },
}

--- The colour that codes[at] (38 or 48) and what follows it name, and the index of its last code.
---@param codes integer[]
---@param at integer
---@return integer|string|nil colour
---@return integer last
local function extended(codes, at)
  if codes[at + 1] == 5 then
    local index = codes[at + 2]
    return (index and index < 256) and index or nil, at + 2
  elseif codes[at + 1] == 2 and codes[at + 4] then
    return ("#%02x%02x%02x"):format(codes[at + 2] % 256, codes[at + 3] % 256, codes[at + 4] % 256),
      at + 4
  end
  return nil, #codes
end

---@param style carpo.Style?
---@param params string What stands between "ESC[" and "m".
---@return carpo.Style?
local function apply(style, params)
  local codes = {}
  for code in (params .. ";"):gmatch("(%d*)[;:]") do
    codes[#codes + 1] = tonumber(code) or 0
  end
  local new = vim.deepcopy(style) or {} ---@type table<string, any>
  local at = 1
  while at <= #codes do
    local code = codes[at]
    if code == 0 then
      new = {}
    elseif FLAGS[code] then
      new[FLAGS[code]] = true
    elseif UNSET[code] then
      for _, name in ipairs(UNSET[code]) do
        new[name] = nil
      end
    elseif code == 38 or code == 48 then
      new[code == 38 and "fg" or "bg"], at = extended(codes, at)
    elseif code >= 30 and code <= 37 then
      new.fg = code - 30
    elseif code >= 90 and code <= 97 then
      new.fg = code - 82
    elseif code >= 40 and code <= 47 then
      new.bg = code - 40
    elseif code >= 100 and code <= 107 then
      new.bg = code - 92
    end
    at = at + 1
  end
  return next(new) and new or nil
end

---@param colour integer|string|nil
---@return string?
local function gui(colour)
  return type(colour) == "number" and palette(colour) or colour --[[@as string?]]
end

--- The highlight group for a style, made when it is first needed.
---@param style carpo.Style?
---@return string?
function M.group(style)
  if not style then
    return nil
  end
  local parts = {}
  for _, name in ipairs({
    "fg",
    "bg",
    "bold",
    "dim",
    "italic",
    "underline",
    "strikethrough",
    "reverse",
  }) do
    if style[name] then
      local value = style[name]
      parts[#parts + 1] = name:sub(1, 1)
        .. name:sub(-1)
        .. (value == true and "" or tostring(value):gsub("#", ""))
    end
  end
  local group = "CarpoAnsi_" .. table.concat(parts, "_")
  if not state.groups[group] then
    state.groups[group] = true
    vim.api.nvim_set_hl(0, group, {
      fg = gui(style.fg) or (style.dim and gui(8) or nil),
      bg = gui(style.bg),
      ctermfg = type(style.fg) == "number" and style.fg or nil,
      ctermbg = type(style.bg) == "number" and style.bg or nil,
      bold = style.bold,
      italic = style.italic,
      underline = style.underline,
      strikethrough = style.strikethrough,
      reverse = style.reverse,
    })
  end
  return group
end

--- Cut a line at its escapes: `on_text` gets each run of text with its style.
---@param line string
---@param style carpo.Style?
---@param on_text fun(text: string, style: carpo.Style?)
---@return carpo.Style? # The style at the end of the line.
local function walk(line, style, on_text)
  local from = 1
  while true do
    local at = line:find(ESC, from, true)
    if not at then
      break
    end
    if at > from then
      on_text(line:sub(from, at - 1), style)
    end
    local _, last, params, final = line:find("^%[([%d;:]*)[ -/]*([@-~])", at + 1)
    if last then
      if final == "m" then
        style = apply(style, params)
      end
    else
      -- An operating system command (a title, a hyperlink), another CSI, or two characters.
      _, last = line:find("^%][^\7\27]*\7", at + 1)
      if not last then
        _, last = line:find("^%][^\7\27]*\27\\", at + 1)
      end
      if not last then
        _, last = line:find("^%[[0-?]*[ -/]*[@-~]", at + 1)
      end
      last = last or math.min(at + 1, #line)
    end
    from = last + 1
  end
  if from <= #line then
    on_text(line:sub(from), style)
  end
  return style
end

--- The style at the end of a line that begins with `style`.
---@param line string
---@param style carpo.Style?
---@return carpo.Style?
function M.after(line, style)
  return walk(line, style, function() end)
end

--- A line as chunks `{ text, group }`, without escapes and other control characters.
---@param line string
---@param style carpo.Style? The style at its begin.
---@param base string? The group of text without colours of its own.
---@return { [1]: string, [2]: string|string[]|nil }[]
function M.chunks(line, style, base)
  local chunks = {}
  walk(line, style, function(text, each)
    if text:find("%c") then
      text = text:gsub("\t", "    "):gsub("%c", "")
    end
    if text ~= "" then
      local group = M.group(each)
      chunks[#chunks + 1] = { text, group and base and { base, group } or group or base }
    end
  end)
  return chunks
end

return M
