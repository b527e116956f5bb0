--- What a program prints, as lines of a terminal, with bounded memory: the first lines and the
--- last ones, and how many there are. Feeding costs what the new text costs, whatever came before.

local ansi = require("carpo.ansi")

--- A line with its escapes; where it begins with colours, a table of it and its first style.
---@alias carpo.Line string|{ [1]: string, [2]: carpo.Style? }

---@class carpo.Text
---@field private keep number
---@field private first carpo.Line[] Up to `keep` lines.
---@field private last carpo.Line[] The last `keep` lines behind these, as a ring.
---@field private ended integer How many lines have ended.
---@field private open string The line that has not ended yet.
---@field private style carpo.Style? The style at its begin.
local Text = {}
Text.__index = Text

local MOST = 8192 -- bytes of a line that are kept: nobody reads on

---@param keep number How many lines are kept at each end; math.huge for all.
---@return carpo.Text
function Text.new(keep)
  return setmetatable({ keep = keep, first = {}, last = {}, ended = 0, open = "" }, Text)
end

--- The first bytes of a string that are whole characters.
---@param text string
---@param most integer
---@return string
local function clip(text, most)
  if #text <= most then
    return text
  end
  return text:sub(1, most + vim.str_utf_start(text, most + 1))
end

--- What a terminal shows of `below` when `above` is written over it from the first column on.
---@param below string
---@param above string
---@return string
local function over(below, above)
  if above == "" then
    return below
  elseif below == "" or above:find("\27", 1, true) or below:find("\27", 1, true) then
    return above
  end
  local rest = vim.fn.strcharpart(below, vim.fn.strchars(above))
  return above .. rest
end

--- A line after its carriage returns and backspaces.
---@param line string
---@return string
local function settle(line)
  if line:find("\b", 1, true) then
    local count
    repeat
      line, count = line:gsub("[^\b\r\128-\191][\128-\191]*\b", "")
    until count == 0
    line = line:gsub("\b", "")
  end
  if line:find("\r", 1, true) then
    local shown = ""
    for part in vim.gsplit(line, "\r", { plain = true }) do
      shown = over(shown, part)
    end
    return shown
  end
  return line
end

---@private
---@param line string
function Text:add(line)
  local style = self.style
  local shown = clip(settle(line), MOST) ---@type carpo.Line
  if line:find("\27", 1, true) then
    self.style = ansi.after(line, style)
    shown = { shown, style }
  elseif style then
    shown = { shown, style }
  end
  self.ended = self.ended + 1
  if self.ended <= self.keep then
    self.first[self.ended] = shown
  else
    self.last[self.ended % self.keep] = shown
  end
end

---@param text string
function Text:feed(text)
  if self.open ~= "" then
    text = self.open .. text
  end
  local from = 1
  while true do
    local at = text:find("\n", from, true)
    if not at then
      break
    end
    self:add(text:sub(from, at - 1))
    from = at + 1
  end
  local open = text:sub(from)
  if #open > MOST then
    -- A progress bar without end: what is overwritten is not kept. A final return is, as the
    -- next text begins the line anew.
    local body, returned = open:match("^(.-)(\r?)$")
    open = clip(settle(body), MOST) .. returned
  end
  self.open = open
end

--- How many lines there are.
---@return integer
function Text:count()
  return self.ended + (self.open ~= "" and 1 or 0)
end

--- Line number `index`, from 1; nil where it is not kept.
---@param index integer
---@return string? line
---@return carpo.Style? style
function Text:line(index)
  local line
  if index > self.ended then
    if index > self:count() then
      return nil
    end
    line = { clip(settle(self.open), MOST), self.style }
  elseif index <= self.keep then
    line = self.first[index]
  elseif index > self.ended - self.keep then
    line = self.last[index % self.keep]
  end
  if type(line) == "table" then
    return line[1], line[2]
  end
  return line
end

return Text
