// Text of a terminal as HTML.

import { AnsiUp } from "ansi_up";

export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Text with its ANSI colours, after carriage returns and backspaces have done what they do. */
export function terminalHtml(text: string): string {
  const ansi = new AnsiUp();
  ansi.use_classes = true;
  ansi.url_allowlist = {};
  return ansi.ansi_to_html(overwritten(text));
}

/** What is left of text where carriage returns and backspaces have gone back over it. */
export function overwritten(text: string): string {
  if (!/[\r\b]/.test(text)) {
    return text;
  }
  return text.replaceAll("\r\n", "\n").split("\n").map(overwrittenLine).join("\n");
}

function overwrittenLine(line: string): string {
  const parts = line.replace(/\r+$/, "").split("\r").map(withoutBackspaces);
  return parts.reduce((shown, part) => {
    // Escapes take no columns, so nothing is counted through them.
    const covers = part.length >= shown.length || part.includes("\x1b");
    return covers ? part : part + shown.slice(part.length);
  });
}

function withoutBackspaces(text: string): string {
  if (!text.includes("\b")) {
    return text;
  }
  const shown: string[] = [];
  for (const character of text) {
    if (character === "\b") {
      shown.pop();
    } else {
      shown.push(character);
    }
  }
  return shown.join("");
}
