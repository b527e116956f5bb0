import assert from "node:assert/strict";
import test from "node:test";
import { isVisible, sanitized } from "../src/results/sanitize";

const EVIL = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "<svg onload=alert(1)><script>alert(1)</script></svg>",
  '<a href="javascript:alert(1)">x</a>',
  '<a href="command:workbench.action.quit">x</a>',
  '<a href="vscode://x/y">x</a>',
  '<iframe src="https://example.org"></iframe>',
  '<object data="x"></object><embed src="x">',
  '<link rel="stylesheet" href="https://example.org/x.css">',
  "<style>body { display: none }</style>",
  '<form action="https://example.org"><input name="password"></form>',
  '<meta http-equiv="refresh" content="0; url=https://example.org">',
  '<base href="https://example.org">',
  '<img src="https://example.org/tracker.png">',
  '<img src="data:text/html,<script>alert(1)</script>">',
  '<p style="background: url(https://example.org/x.png)">x</p>',
  '<p style="position: fixed; top: 0; width: 100vw">x</p>',
  '<p data-reveal onclick="alert(1)">x</p>',
  "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
];

for (const html of EVIL) {
  test(`nothing that runs, loads or reaches out is left of ${html}`, () => {
    const pattern =
      /script|onerror|onload|onclick|javascript:|command:|vscode:|example|<(style|form|input|iframe|object|embed|link|meta|base|svg|math)|position|data-|data:text|alert/;
    assert.doesNotMatch(sanitized(html), pattern);
  });
}

test("tables, colours and pictures stay", () => {
  const table =
    '<table border="1" class="dataframe"><tbody><tr style="text-align:right"><td colspan="2" style="color:#ff0000;background-color:rgb(1, 2, 3)">4.2</td></tr></tbody></table>';
  assert.equal(sanitized(table), table);
  const picture = '<img src="data:image/png;base64,AAAA" width="10" />';
  assert.equal(sanitized(picture), picture);
});

test("whether there is something to see", () => {
  assert.equal(isVisible(sanitized("<div><script>draw()</script> &nbsp;</div>")), false);
  assert.equal(isVisible(sanitized("<div><b>x</b></div>")), true);
  assert.equal(isVisible(sanitized('<img src="data:image/png;base64,AAAA">')), true);
});
