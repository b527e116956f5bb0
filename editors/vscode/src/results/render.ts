// Executions as HTML: all of it escaped or sanitized here, nothing is trusted later.

import type { Execution, KeptOutput } from "../executions";
import { type Bundle, type Output, wholeOutput } from "../protocol";
import { duration } from "../words";
import { isVisible, sanitized } from "./sanitize";
import { escaped, terminalHtml } from "./text";

/** VS Code's own rendering of Markdown, whose result is not trusted either. */
export type RenderMarkdown = (markdown: string) => Promise<string>;

const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml"];

/** The section of an execution; `title` is the first line of its code. */
export async function renderExecution(
  execution: Execution,
  title: string,
  markdown: RenderMarkdown,
): Promise<string> {
  const outputs = await Promise.all(execution.outputs.map((kept) => renderOutput(kept, markdown)));
  const dropped =
    execution.dropped > 0 ? note(`${execution.dropped} earlier outputs are not shown`) : "";
  const withoutOutput = execution.outputs.every((kept) => kept.output.output_type !== "error");
  const error =
    execution.error && withoutOutput && execution.state === "died"
      ? note(`${execution.error.ename}: ${execution.error.evalue}`)
      : "";
  return `${header(execution, title)}${dropped}${outputs.join("")}${error}`;
}

function header(execution: Execution, title: string): string {
  const count = execution.count === undefined ? "" : `[${execution.count}] `;
  const took =
    execution.durationMs === undefined ? "" : ` · ${duration(execution.durationMs / 1000)}`;
  const state = { waitingInput: "waits for input", ok: "ok" }[execution.state as string];
  return (
    `<header><button class="title" data-reveal>${escaped(count + title)}</button>` +
    `<span class="state ${execution.state}">${escaped(state ?? execution.state)}${took}</span></header>`
  );
}

async function renderOutput(kept: KeptOutput, markdown: RenderMarkdown): Promise<string> {
  const { output } = kept;
  const cut = kept.cut ? note("the beginning is not shown") : "";
  return cut + (await renderContent(output, markdown)) + noteOfWhole(output);
}

async function renderContent(output: Output, markdown: RenderMarkdown): Promise<string> {
  if (output.output_type === "stream") {
    return `<pre class="${output.name === "stderr" ? "stderr" : "stdout"}">${terminalHtml(output.text)}</pre>`;
  }
  if (output.output_type === "error") {
    const text = output.traceback.join("\n") || `${output.ename}: ${output.evalue}`;
    return `<pre class="error">${terminalHtml(text)}</pre>`;
  }
  return renderBundle(output.data, markdown);
}

/** The best of what a bundle has that can be shown without running anything. */
async function renderBundle(data: Bundle, markdown: RenderMarkdown): Promise<string> {
  const html = text(data, "text/html");
  if (html !== undefined) {
    const clean = sanitized(html);
    if (isVisible(clean)) {
      return `<div class="html">${clean}</div>`;
    }
  }
  for (const mime of IMAGES) {
    const image = text(data, mime);
    if (image !== undefined) {
      const plain = text(data, "text/plain") ?? "";
      return `<img alt="${escaped(plain)}" src="${imageUrl(mime, image)}">`;
    }
  }
  const words = text(data, "text/markdown");
  if (words !== undefined) {
    return `<div class="markdown">${sanitized(await markdown(words))}</div>`;
  }
  const plain = text(data, "text/plain") ?? text(data, "text/latex");
  if (plain !== undefined) {
    return `<pre>${terminalHtml(plain)}</pre>`;
  }
  if ("application/json" in data) {
    return `<pre>${escaped(JSON.stringify(data["application/json"], undefined, 2))}</pre>`;
  }
  return note(`nothing to show of ${Object.keys(data).join(", ")}`);
}

/** In an image element nothing of an SVG picture runs or loads. */
function imageUrl(mime: string, data: string): string {
  const base64 =
    mime === "image/svg+xml"
      ? Buffer.from(data).toString("base64")
      : data.replace(/[^A-Za-z0-9+/=]/g, "");
  return `data:${mime};base64,${base64}`;
}

function text(data: Bundle, mime: string): string | undefined {
  const found = data[mime];
  return Array.isArray(found) ? found.join("") : typeof found === "string" ? found : undefined;
}

function noteOfWhole(output: Output): string {
  const whole = wholeOutput(output);
  return whole ? note(`the beginning of ${whole.bytes} bytes; all of them: ${whole.path}`) : "";
}

function note(text: string): string {
  return `<p class="note">${escaped(text)}</p>`;
}
