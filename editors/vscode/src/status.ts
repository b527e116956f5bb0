// The status bar: the kernel of the document in front and its state, and what can be done with it.

import * as vscode from "vscode";
import { activeDocument, type Kernels } from "./kernels";
import type { Kernel } from "./protocol";
import { languages } from "./settings";

const ICONS: Record<Kernel["status"], string> = {
  starting: "$(loading~spin)",
  idle: "$(circle-large-outline)",
  busy: "$(circle-large-filled)",
  restarting: "$(loading~spin)",
  dead: "$(error)",
  stopped: "$(circle-slash)",
};

/** Shows the kernel of the document in front. */
export function createStatus(kernels: Kernels, running: () => boolean): vscode.Disposable {
  const item = vscode.window.createStatusBarItem("carpo.kernel", vscode.StatusBarAlignment.Right);
  item.name = "Carpo Kernel";
  item.command = "carpo.kernelMenu";
  const update = () => {
    const uri = activeDocument();
    if (!uri || !isServed() || !running()) {
      item.hide();
      return;
    }
    const [kernel] = kernels.of(uri);
    item.text = kernel
      ? `${ICONS[kernel.status]} ${kernel.displayName}: ${kernel.status}`
      : "$(circle-slash) No kernel";
    item.tooltip = kernel
      ? `The kernel of this document${kernel.pid ? `, pid ${kernel.pid}` : ""}`
      : "A kernel starts when you run a cell";
    item.show();
  };
  update();
  return vscode.Disposable.from(
    item,
    kernels.onDidChange(update),
    vscode.window.onDidChangeActiveTextEditor(update),
    vscode.window.onDidChangeActiveNotebookEditor(update),
  );
}

function isServed(): boolean {
  const editor = vscode.window.activeTextEditor;
  return (
    vscode.window.activeNotebookEditor?.notebook.notebookType === "jupyter-notebook" ||
    (editor !== undefined && languages().includes(editor.document.languageId))
  );
}

/** What can be done with the kernel of the document in front, as a menu. */
export async function showKernelMenu(): Promise<void> {
  const item = (icon: string, label: string, command: string) => ({
    label: `$(${icon}) ${label}`,
    command,
  });
  const chosen = await vscode.window.showQuickPick(
    [
      item("list-selection", "Select another kernel", "carpo.selectKernel"),
      item("debug-stop", "Interrupt", "carpo.interrupt"),
      item("debug-restart", "Restart", "carpo.restartKernel"),
      item("run-all", "Restart and run all", "carpo.restartAndRunAll"),
      item("pinned", "Keep it when VS Code quits, or no longer", "carpo.keepKernel"),
      item("circle-slash", "Shut down", "carpo.shutdownKernel"),
      item("open-preview", "Show results", "carpo.showResults"),
    ],
    { title: "Kernel of this document" },
  );
  if (chosen) {
    await vscode.commands.executeCommand(chosen.command);
  }
}
