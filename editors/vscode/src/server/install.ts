// Installs the server that comes with this extension into an environment of its own.

import * as path from "node:path";
import * as vscode from "vscode";
import { binOf } from "./candidates";
import { selectedPython } from "./python";

const windows = process.platform === "win32";

const INSTALL = "Install";
const NAME_IT = "Choose its path";
const EXPLAIN = "Explain";

/** The environment the server is installed into. */
export function installedAt(context: vscode.ExtensionContext): string {
  return path.join(context.globalStorageUri.fsPath, "server");
}

/** Tells that there is no server, and does what the user chooses; true once there may be one. */
export async function offerInstall(
  context: vscode.ExtensionContext,
  problem: string,
): Promise<boolean> {
  const chosen = await vscode.window.showErrorMessage(problem, INSTALL, NAME_IT, EXPLAIN);
  if (chosen === INSTALL) {
    return install(context);
  }
  if (chosen === NAME_IT) {
    await vscode.commands.executeCommand("workbench.action.openSettings", "carpo.server");
  } else if (chosen === EXPLAIN) {
    const walkthrough = `${context.extension.id}#start`;
    await vscode.commands.executeCommand("workbench.action.openWalkthrough", walkthrough);
  }
  return false;
}

/** Installs the server, in a terminal where it can be watched; whether that went well. */
export async function install(context: vscode.ExtensionContext): Promise<boolean> {
  const environment = installedAt(context);
  const bin = binOf(environment, windows);
  const python = (await selectedPython()) ?? (windows ? "python" : "python3");
  const commands = [
    [python, "-m", "venv", "--clear", environment],
    [
      path.join(bin, "python"),
      "-m",
      "pip",
      "install",
      context.asAbsolutePath(path.join("dist", "server")),
    ],
  ];
  for (const command of commands) {
    if ((await runTask(command)) !== 0) {
      void vscode.window.showErrorMessage(
        "carpo-lsp could not be installed; the terminal says why. It needs Python 3.11 or newer.",
      );
      return false;
    }
  }
  return true;
}

/** Runs a command as a task; its exit code, undefined if it was ended. */
async function runTask([command, ...args]: string[]): Promise<number | undefined> {
  const task = new vscode.Task(
    { type: "process" },
    vscode.workspace.workspaceFolders ? vscode.TaskScope.Workspace : vscode.TaskScope.Global,
    "Install carpo-lsp",
    "carpo",
    new vscode.ProcessExecution(command ?? "", args),
  );
  task.presentationOptions = { reveal: vscode.TaskRevealKind.Always, clear: false };
  const running = vscode.tasks.executeTask(task);
  return new Promise((resolve, reject) => {
    const ended = vscode.tasks.onDidEndTaskProcess(async (event) => {
      if (event.execution === (await running)) {
        ended.dispose();
        resolve(event.exitCode);
      }
    });
    running.then(undefined, reject);
  });
}
