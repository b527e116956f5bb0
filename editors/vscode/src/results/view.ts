// The results of the document in front, beside its code.

import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import type { Ask } from "../connection";
import type { Execution, Executions } from "../executions";
import { moved } from "../places";
import { type HeldExecution, isEnd } from "../protocol";
import { titleOf as cellTitle, nameOf } from "../words";
import { page } from "./document";
import type { FromPage, ToPage } from "./messages";
import { type RenderMarkdown, renderExecution } from "./render";

/** Milliseconds between two updates of the page: more are seen by nobody. */
const PACE = 80;

const EMPTY = "Nothing has been run in this document.";

/** A view that follows the editor in front. It exists while it is open. */
export class ResultsView implements vscode.Disposable {
  private panel: vscode.WebviewPanel | undefined;
  private ready = false;
  private uri: string | undefined;
  private show: string | undefined;
  private readonly changed = new Set<string>();
  private readonly restored = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private readonly subscriptions: vscode.Disposable[];

  constructor(
    private readonly extensionUri: vscode.Uri,
    private readonly executions: Executions,
    private readonly ask: Ask,
  ) {
    executions.onDidChange((execution) => this.onChange(execution));
    this.subscriptions = [
      vscode.window.onDidChangeActiveTextEditor((editor) => editor && this.follow(editor.document)),
      vscode.workspace.onDidChangeTextDocument((event) => this.onEdit(event)),
    ];
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.panel?.dispose();
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  /** Opens the view, at the results of the cell at a place as commands have it. */
  showAt(place?: unknown): void {
    const { uri, line, position } = (place ?? {}) as {
      uri?: string;
      line?: number;
      position?: { line: number };
    };
    const document = uri ? find(uri) : vscode.window.activeTextEditor?.document;
    if (document) {
      this.follow(document, true);
      const at = line ?? position?.line;
      const here = this.shown().find(
        ({ range }) => range && at !== undefined && range.start.line <= at && at < range.end.line,
      );
      this.show = here?.id;
    }
    this.open();
  }

  /** Opens the view, unless it is open. */
  open(): void {
    if (this.panel) {
      this.panel.reveal(undefined, true);
      this.update();
      return;
    }
    const built = vscode.Uri.joinPath(this.extensionUri, "dist", "results");
    const showOptions = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
    const panel = vscode.window.createWebviewPanel("carpo.results", "Results", showOptions, {
      enableScripts: true,
      localResourceRoots: [built],
    });
    this.panel = panel;
    panel.iconPath = vscode.Uri.joinPath(this.extensionUri, "media", "icon.svg");
    const { webview } = panel;
    const asset = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(built, name));
    panel.onDidDispose(() => {
      this.panel = undefined;
      this.ready = false;
    });
    webview.onDidReceiveMessage((message: FromPage) => this.onMessage(message));
    webview.html = page({
      nonce: randomBytes(16).toString("base64url"),
      source: webview.cspSource,
      script: asset("page.js").toString(),
      style: asset("results.css").toString(),
    });
  }

  private onMessage(message: FromPage): void {
    if (message.kind === "ready") {
      // The page is new, or was hidden meanwhile and has forgotten all.
      this.ready = true;
      this.all();
    } else {
      const execution = this.executions.get(message.id);
      const document = execution && find(execution.uri);
      if (document && execution.range) {
        const start = new vscode.Position(execution.range.start.line, 0);
        const selection = new vscode.Range(start, start);
        void vscode.window.showTextDocument(document, {
          selection,
          viewColumn: columnOf(document),
        });
      }
    }
  }

  private follow(document: vscode.TextDocument, asked = false): void {
    const uri = document.uri.toString();
    const known = this.executions.of(uri).length > 0;
    if (uri === this.uri || !(asked || known)) {
      return;
    }
    this.uri = uri;
    this.show = undefined;
    void this.restore(uri);
    this.all();
  }

  /** What the server has of the document from before. */
  private async restore(uri: string): Promise<void> {
    if (this.restored.has(uri)) {
      return;
    }
    this.restored.add(uri);
    const params = { textDocument: { uri } };
    const held = await this.ask<{ executions: HeldExecution[] }>("carpo/outputs", params);
    this.executions.restore(uri, held?.executions ?? []);
  }

  private onChange(execution: Execution): void {
    if (vscode.Uri.parse(execution.uri).scheme === "vscode-notebook-cell") {
      this.executions.forget(execution.id); // a notebook shows its own
      return;
    }
    if (execution.state === "queued") {
      this.replaceEarlier(execution);
      const document = find(execution.uri);
      if (document && isVisible(document)) {
        this.follow(document);
      }
    }
    if (execution.uri === this.uri) {
      this.changed.add(execution.id);
      this.show = execution.id;
      if (!this.panel && opensFor(execution)) {
        this.open();
      }
      this.update();
    }
  }

  /** A cell that is run again has the results of its last run. */
  private replaceEarlier(execution: Execution): void {
    const { range } = execution;
    for (const other of range ? this.executions.of(execution.uri) : []) {
      const start = other.range?.start.line;
      if (
        other !== execution &&
        isEnd(other.state) &&
        range &&
        start !== undefined &&
        range.start.line <= start &&
        start < Math.max(range.end.line, range.start.line + 1)
      ) {
        this.executions.forget(other.id);
      }
    }
  }

  private onEdit(event: vscode.TextDocumentChangeEvent): void {
    for (const execution of this.executions.of(event.document.uri.toString())) {
      for (const { range, text } of event.contentChanges) {
        const lines = execution.range && execution.range.end.line - execution.range.start.line;
        const line =
          execution.range &&
          moved(execution.range.start.line, { ...range, start: range.start, end: range.end, text });
        if (line === undefined || lines === undefined) {
          execution.range = undefined;
          break;
        }
        execution.range = {
          start: { line, character: 0 },
          end: { line: line + lines, character: 0 },
        };
      }
    }
  }

  /** The executions to show, those of the first lines first; what has no place any more is last. */
  private shown(): Execution[] {
    const line = (each: Execution) => each.range?.start.line ?? Number.MAX_SAFE_INTEGER;
    return this.uri === undefined
      ? []
      : this.executions.of(this.uri).sort((a, b) => line(a) - line(b));
  }

  private all(): void {
    for (const execution of this.shown()) {
      this.changed.add(execution.id);
    }
    this.update();
  }

  private update(): void {
    if (this.panel && this.ready && this.timer === undefined) {
      this.timer = setTimeout(() => void this.send(), PACE);
    }
  }

  private async send(): Promise<void> {
    const executions = this.shown();
    const name = this.uri ? nameOf(this.uri) : "";
    const changed = executions.filter((each) => this.changed.has(each.id));
    this.changed.clear();
    const message: ToPage = {
      name,
      order: executions.map((each) => each.id),
      changed: await Promise.all(
        changed.map(async (each) => ({
          id: each.id,
          html: await renderExecution(each, titleOf(each), renderMarkdown),
        })),
      ),
      show: this.show,
      empty: EMPTY,
    };
    this.show = undefined;
    this.timer = undefined;
    if (this.panel) {
      this.panel.title = name ? `Results: ${name}` : "Results";
      void this.panel.webview.postMessage(message);
    }
    if (this.changed.size > 0) {
      this.update();
    }
  }
}

const renderMarkdown: RenderMarkdown = async (markdown) =>
  (await vscode.commands.executeCommand<string>("markdown.api.render", markdown)) ?? "";

/** Whether the view is to open by itself for what an execution shows. */
function opensFor(execution: Execution): boolean {
  const wanted = vscode.workspace.getConfiguration("carpo.view").get("open", "auto");
  return wanted === "auto" && execution.outputs.some(({ output }) => !isShort(output));
}

/** Whether an output fits beside its code. */
function isShort(output: Execution["outputs"][number]["output"]): boolean {
  if (output.output_type === "stream") {
    return !output.text.trimEnd().includes("\n");
  }
  if (output.output_type === "error") {
    return true; // it is at its line
  }
  const plain = String(output.data["text/plain"] ?? "");
  return Object.keys(output.data).every((mime) => mime === "text/plain") && !plain.includes("\n");
}

function titleOf(execution: Execution): string {
  const document = find(execution.uri);
  const line = execution.range?.start.line;
  if (!document || line === undefined || line >= document.lineCount) {
    return "code that is no longer there";
  }
  const marker = line > 0 ? document.lineAt(line - 1).text : "";
  return cellTitle(marker, document.lineAt(line).text);
}

function find(uri: string): vscode.TextDocument | undefined {
  const wanted = vscode.Uri.parse(uri).toString();
  return vscode.workspace.textDocuments.find((each) => each.uri.toString() === wanted);
}

function isVisible(document: vscode.TextDocument): boolean {
  return vscode.window.visibleTextEditors.some((editor) => editor.document === document);
}

function columnOf(document: vscode.TextDocument): vscode.ViewColumn {
  const editor = vscode.window.visibleTextEditors.find((each) => each.document === document);
  return editor?.viewColumn ?? vscode.ViewColumn.One;
}
