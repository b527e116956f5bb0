// A browser with one page, for tests in another language. Each line of input is an action, answered
// by one line of output: {"value"} or {"error"}.
//
//   node drive.mjs <folder of playwright-core> <Chromium> <profile> <URL>
//
//   {"call": "click", "selector": "...", "frames": ["..."], "arguments": []}   of an element
//   {"call": "keyboard.press", "arguments": ["Control+Enter"]}                of the page

import { createRequire } from "node:module";
import process from "node:process";
import readline from "node:readline";

const [folder, executablePath, profile, url] = process.argv.slice(2);
const { chromium } = createRequire(`${folder}/`)("playwright-core");

const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  chromiumSandbox: false,
  viewport: { width: 1000, height: 660 },
  args: [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const page = context.pages()[0];
page.setDefaultTimeout(30_000);
await page.goto(url, { waitUntil: "domcontentloaded" });
answer({ value: "ready" });

for await (const line of readline.createInterface({ input: process.stdin })) {
  const action = JSON.parse(line);
  try {
    answer({ value: (await perform(action)) ?? null });
  } catch (error) {
    answer({ error: `${error}\nThe page is\n${await page.innerText("body")}` });
  }
}
await context.close();

function perform({ call, selector, frames = [], arguments: given = [] }) {
  const where = frames.reduce((outer, frame) => outer.frameLocator(frame), page);
  let target = selector === undefined ? page : where.locator(selector);
  const path = call.split(".");
  for (const name of path.slice(0, -1)) {
    target = typeof target[name] === "function" ? target[name]() : target[name];
  }
  return target[path.at(-1)](...given);
}

function answer(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
