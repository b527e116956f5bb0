// Runs in the results view: puts sanitized HTML where it belongs, and tells what is clicked.

import type { FromPage, ToPage } from "../messages";

declare function acquireVsCodeApi(): { postMessage(message: FromPage): void };

const vscode = acquireVsCodeApi();
const main = document.querySelector("main") as HTMLElement;

window.addEventListener("message", ({ data }: MessageEvent<ToPage>) => {
  main.dataset.document = data.name;
  const sections = new Map([...main.children].map((each) => [each.id, each as HTMLElement]));
  main.replaceChildren(...data.order.map((id) => sections.get(id) ?? newSection(id)));
  for (const { id, html } of data.changed) {
    const section = document.getElementById(id);
    if (section) {
      section.innerHTML = html;
    }
  }
  if (data.order.length === 0) {
    main.textContent = data.empty;
  }
  if (data.show) {
    document.getElementById(data.show)?.scrollIntoView({ block: "nearest" });
  }
});

document.addEventListener("click", ({ target }) => {
  const section = (target as Element).closest("[data-reveal]")?.closest("section");
  if (section) {
    vscode.postMessage({ kind: "reveal", id: section.id });
  }
});

function newSection(id: string): HTMLElement {
  const section = document.createElement("section");
  section.id = id;
  return section;
}

vscode.postMessage({ kind: "ready" });
