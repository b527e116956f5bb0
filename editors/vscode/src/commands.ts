// The server's commands in this editor: from the palette, a key or a menu they have no arguments,
// and mean the place of the cursor.

import * as vscode from "vscode";
import type { Kernels } from "./kernels";
import type { Prompts } from "./prompts";
import type { ResultsView } from "./results/view";

export type Intercept = (
  command: string,
  // biome-ignore lint/suspicious/noExplicitAny: what the language client has there
  args: any[],
  next: (command: string, args: unknown[]) => vscode.ProviderResult<unknown>,
) => vscode.ProviderResult<unknown>;

const RUNS_CODE = new Set(
  [
    "runCell",
    "runCellAndAdvance",
    "runStatement",
    "runSelection",
    "runAbove",
    "runBelow",
    "runAll",
    "restartAndRunAll",
  ].map((name) => `carpo.${name}`),
);

/** What stands in the place of a command or its arguments before it goes to the server. */
export function interceptor(kernels: Kernels, prompts: Prompts, results: ResultsView): Intercept {
  return async (command, args, next) => {
    if (RUNS_CODE.has(command) && !(await mayRun())) {
      return undefined;
    }
    const given = args.filter((argument) => !isFromMenu(argument));
    const place = placeOfCursor(command === "carpo.runSelection");
    const complete = given.length > 0 ? given : place ? [place] : [];
    if (command === "carpo.answer" && given.length === 0) {
      return prompts.ask();
    }
    if (command === "carpo.selectKernel" && given.length === 0) {
      return kernels.pick(next);
    }
    if (command === "carpo.showOutput") {
      return results.showAt(complete[0]);
    }
    return next(command, complete);
  };
}

/** Menus pass what was clicked: a URI, an editor's context or a cell. The cursor is there too. */
function isFromMenu(argument: unknown): boolean {
  if (typeof argument !== "object" || argument === null) {
    return argument === undefined || argument === null;
  }
  return argument instanceof vscode.Uri || "notebookEditor" in argument || "groupId" in argument;
}

/** Where the cursor is, or the selection, as the server's commands take it. */
export function placeOfCursor(selection = false): object | undefined {
  const editor = vscode.window.activeTextEditor;
  if (editor) {
    const uri = editor.document.uri.toString();
    const { start, end, active } = editor.selection;
    return selection ? { uri, range: { start, end } } : { uri, position: active };
  }
  const notebook = vscode.window.activeNotebookEditor;
  const cell = notebook?.notebook.getCells(notebook.selection)[0];
  return cell && { uri: cell.document.uri.toString(), position: { line: 0, character: 0 } };
}

/** Whether code may run here; asks for trust where that is missing. */
export async function mayRun(): Promise<boolean> {
  if (vscode.workspace.isTrusted) {
    return true;
  }
  const manage = "Manage trust";
  const chosen = await vscode.window.showWarningMessage(
    "carpo-lsp runs the code of trusted workspaces only.",
    manage,
  );
  if (chosen === manage) {
    await vscode.commands.executeCommand("workbench.trust.manage");
  }
  return false;
}
