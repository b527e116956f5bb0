import assert from "node:assert/strict";
import test from "node:test";
import { Executions } from "../src/executions";
import type { Output } from "../src/protocol";
import { page } from "../src/results/document";
import { renderExecution } from "../src/results/render";
import { overwritten, terminalHtml } from "../src/results/text";

async function rendered(output: Output): Promise<string> {
  const executions = new Executions();
  const where = { kernelId: "k", executionId: "1", textDocument: { uri: "file:///a.py" } };
  executions.onState({ ...where, state: "queued" });
  executions.onOutput({ ...where, kind: "append", output });
  executions.onState({ ...where, state: "ok", executionCount: 3, durationMs: 20 });
  const execution = executions.get("1");
  assert.ok(execution);
  const html = await renderExecution(execution, "<b>title</b>", async (markdown) => {
    return `<p>${markdown}</p><script>alert(1)</script>`;
  });
  assert.match(html, /^<header>.*\[3\] &#60;b&#62;title.*ok · 0\.02 s/);
  return html.replace(/^<header>.*<\/header>/, "");
}

const bundle = (data: Record<string, unknown>): Output => ({ output_type: "display_data", data });

test("streams and errors keep their colours and run nothing", async () => {
  const stream = { output_type: "stream", name: "stderr", text: "\x1b[31m<i>\x1b[0m" } as const;
  const html = '<pre class="stderr"><span class="ansi-red-fg">&lt;i&gt;</span></pre>';
  assert.equal(await rendered(stream), html);
  const error = { output_type: "error", ename: "E", evalue: "<v>", traceback: [] } as const;
  assert.equal(
    await rendered({ ...error, traceback: [] }),
    '<pre class="error">E: &lt;v&gt;</pre>',
  );
});

test("the best of a bundle that can be shown", async () => {
  const plain = { "text/plain": "<p>" };
  assert.equal(await rendered(bundle(plain)), "<pre>&lt;p&gt;</pre>");
  assert.equal(
    await rendered(bundle({ ...plain, "text/html": ["<b>", "x</b><script>1</script>"] })),
    '<div class="html"><b>x</b></div>',
  );
  assert.equal(
    await rendered(bundle({ ...plain, "text/html": "<script>draw()</script>" })),
    "<pre>&lt;p&gt;</pre>",
  );
  assert.equal(
    await rendered(bundle({ ...plain, "image/png": 'AA" onerror\n' })),
    '<img alt="&#60;p&#62;" src="data:image/png;base64,AAonerror">',
  );
  assert.equal(
    await rendered(bundle({ "text/markdown": "words" })),
    '<div class="markdown"><p>words</p></div>',
  );
  assert.match(await rendered(bundle({ "image/svg+xml": "<svg/>" })), /svg\+xml;base64,PHN2Zy8\+"/);
  assert.match(await rendered(bundle({ "application/json": { a: 1 } })), /&#34;a&#34;: 1/);
  assert.match(await rendered(bundle({ "application/x": 1 })), /nothing to show of application\/x/);
});

test("where the whole of an output is that was too big", async () => {
  const metadata = { carpo: { truncated: true, path: "/tmp/<x>", bytes: 5_000_000 } };
  const output = { output_type: "stream", name: "stdout", text: "x", metadata } as const;
  assert.match(
    await rendered(output),
    /beginning of 5000000 bytes; all of them: \/tmp\/&#60;x&#62;/,
  );
});

test("carriage returns and backspaces go back over text", () => {
  assert.equal(overwritten("10 %\r20 %\r\n"), "20 %\n");
  assert.equal(overwritten("abcdef\rxy"), "xycdef");
  assert.equal(overwritten("abc\b\bx"), "ax");
});

test("links and other escapes of a terminal are text", () => {
  assert.doesNotMatch(terminalHtml("\x1b]8;;https://example.org\x07x\x1b]8;;\x07"), /<a/);
});

test("the page runs and loads nothing but its own", () => {
  const html = page({ nonce: "N", source: "self:", script: "page.js", style: "results.css" });
  const policy = /Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1];
  assert.equal(
    policy,
    "default-src 'none'; img-src data:; script-src 'nonce-N'; style-src-elem self:; " +
      "style-src-attr 'unsafe-inline'; base-uri 'none'; form-action 'none'",
  );
  assert.equal(html.match(/<script/g)?.length, 1);
  assert.match(html, /<script nonce="N" src="page.js">/);
});
