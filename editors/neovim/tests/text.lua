--- Text as a terminal shows it, with bounded memory, and its colours.

local test = require("support")
vim.opt.runtimepath:prepend(test.plugin)
local Text = require("carpo.text")
local ansi = require("carpo.ansi")
local outputs = require("carpo.outputs")

---@param keep number
---@param ... string
---@return carpo.Text
local function fed(keep, ...)
  local text = Text.new(keep)
  for _, part in ipairs({ ... }) do
    text:feed(part)
  end
  return text
end

---@param text carpo.Text
---@return string[]
local function lines(text)
  local found = {}
  for index = 1, text:count() do
    found[index] = (text:line(index)) or "…"
  end
  return found
end

case("lines that come in pieces", function()
  test.equal(lines(fed(9, "a", "b\nc", "\n", "d")), { "ab", "c", "d" })
  test.equal(lines(fed(9, "a\n\nb\n")), { "a", "", "b" })
  test.equal(lines(fed(9, "")), {})
end)

case("a carriage return begins the line anew", function()
  test.equal(lines(fed(9, " 10%\r 20%\r100%\ndone\n")), { "100%", "done" })
  test.equal(lines(fed(9, " 10%", "\r 20%", "\r 30%")), { " 30%" })
  test.equal(lines(fed(9, "abcdef\rxy")), { "xycdef" })
  test.equal(lines(fed(9, "windows\r\n")), { "windows" })
  test.equal(lines(fed(9, "äöü\rx")), { "xöü" })
end)

case("a backspace takes a character back", function()
  test.equal(lines(fed(9, "|\b/\b-\b\\")), { "\\" })
  test.equal(lines(fed(9, "aü\b\bx\b\b\b!")), { "!" })
end)

case("memory is bounded, the count is not", function()
  local text = fed(3, ("x\n"):rep(50), ("y\n"):rep(50), "z")
  test.equal(text:count(), 101)
  test.equal(text:line(3), "x")
  test.equal(text:line(4), nil)
  test.equal(text:line(97), nil)
  test.equal(text:line(98), "y")
  test.equal(text:line(101), "z")
  local bar = Text.new(3)
  for step = 1, 5000 do
    bar:feed(("\r%4d of 5000"):format(step))
  end
  test.equal(lines(bar), { "5000 of 5000" })
  test.equal(#fed(3, ("ä"):rep(100000)):line(1), 8192)
end)

case("colours go on in the next line", function()
  local text = fed(9, "\27[31mred\nstill\27[0m plain\n")
  local line, style = text:line(2)
  local chunks = ansi.chunks(line --[[@as string]], style, "Base")
  test.equal(chunks[1][1], "still")
  test.equal(vim.api.nvim_get_hl(0, { name = chunks[1][2][2] }).ctermfg, 1)
  test.equal(chunks[2], { " plain", "Base" })
end)

case("escapes become highlight groups", function()
  local function look(escape)
    local chunks = ansi.chunks("\27[" .. escape .. "mx", nil, nil)
    return chunks[1][2] and vim.api.nvim_get_hl(0, { name = chunks[1][2] }) or {}
  end
  test.equal(look("1;3;4").bold, true)
  test.equal(look("1;3;4").italic, true)
  test.equal(look("92").ctermfg, 10)
  test.equal(look("48;5;208").bg, 0xff8700)
  test.equal(look("38;2;1;2;3").fg, 0x010203)
  test.equal(look("38:5:208").fg, 0xff8700)
  test.equal(look("31;39"), {})
  test.equal(look(""), {})
  test.equal(look("38;5"), {})
  vim.g.terminal_color_1 = "#abcdef"
  test.equal(look("2;31").fg, 0xabcdef)
end)

case("other escapes and control characters are not shown", function()
  local function shown(text)
    local found = ""
    for _, chunk in ipairs(ansi.chunks(text)) do
      found = found .. chunk[1]
    end
    return found
  end
  test.equal(shown("a\27[2Kb\27[?25lc"), "abc")
  test.equal(shown("\27]8;;http://x\27\\link\27]8;;\27\\"), "link")
  test.equal(shown("\27]0;title\7text"), "text")
  test.equal(shown("a\tb\1c"), "a    bc")
  test.equal(shown("cut\27["), "cut")
end)

case("the best of a result's types", function()
  local function text(data)
    return lines(outputs.new({ output_type = "display_data", data = data }, 9).text)
  end
  test.equal(text({ ["text/plain"] = "p", ["text/html"] = "<b>" }), { "p" })
  test.equal(text({ ["text/markdown"] = { "a\n", "b" } }), { "a", "b" })
  test.equal(text({ ["application/json"] = { one = 1 } }), { '{"one":1}' })
  test.equal(text({ ["application/x-one"] = "x" }), { "(application/x-one)" })
  test.equal(text({ ["image/png"] = "no base64!", ["text/plain"] = "p" }), { "p" })
end)

case("pictures become files", function()
  local svg =
    outputs.new({ output_type = "display_data", data = { ["image/svg+xml"] = "<svg/>" } }, 9)
  test.equal(vim.fn.readfile(svg.picture), { "<svg/>" })
  local data = { ["image/png"] = vim.base64.encode("PNG"), ["text/plain"] = "<Figure>" }
  local png = outputs.new({ output_type = "execute_result", data = data }, 9)
  test.equal(vim.fn.readblob(png.picture), "PNG")
  test.equal({ outputs.line(png, 1) }, { png.picture, nil, "CarpoNote" })
end)

case("what was cut names its file", function()
  local raw = { output_type = "stream", name = "stdout", text = "begin\n" }
  raw.metadata = { carpo = { truncated = true, path = "/tmp/whole.txt", bytes = 12345678 } }
  local output = outputs.new(raw, 9)
  test.equal(outputs.count(output), 2)
  test.contains(outputs.line(output, 2), "12.3 MB, is in /tmp/whole.txt")
end)
