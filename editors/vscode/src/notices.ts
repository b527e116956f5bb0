// Messages about what a user who does something else should know.

import * as vscode from "vscode";
import type { Ask } from "./connection";
import { type ExecutionState, isEnd, type KernelStatus } from "./protocol";
import { duration, nameOf } from "./words";

/** Tells of kernels that die or are in trouble; a dead one is restarted if the user likes. */
export function onKernelStatus(params: KernelStatus, ask: Ask): void {
  const name = params.kernel.displayName;
  if (params.status !== "dead") {
    if (params.reason && params.cause && params.cause !== "responsive") {
      void vscode.window.showWarningMessage(`${name}: ${params.reason}`);
    }
    return;
  }
  const last = (params.stderrTail ?? "").trim().split("\n").at(-1) ?? "";
  const what = params.cause === "start" ? "did not start" : "died";
  const message = `The kernel ${name} ${what}: ${params.reason ?? "it has ended."} ${last}`.trim();
  if (revivesItself(params)) {
    void vscode.window.showWarningMessage(`${message} It is restarted.`);
    return;
  }
  const restart = "Restart kernel";
  const actions = params.kernel.startedAt ? [restart] : [];
  vscode.window.showErrorMessage(message, ...actions).then((chosen) => {
    if (chosen === restart) {
      void ask("carpo/restartKernel", { kernelId: params.kernelId });
    }
  });
}

function revivesItself(params: KernelStatus): boolean {
  const wanted = vscode.workspace.getConfiguration("carpo.kernel").get("autoRestart", false);
  return wanted && params.kernel.owned && params.cause !== "limit" && params.cause !== "start";
}

/** Tells of the end of what took long, as `carpo.results.notifyAfter` says. */
export function onExecutionState(params: ExecutionState): void {
  const seconds = (params.durationMs ?? 0) / 1000;
  const after = vscode.workspace.getConfiguration("carpo.results").get("notifyAfter", 10);
  if (!isEnd(params.state) || !params.textDocument || seconds < after) {
    return;
  }
  const name = nameOf(params.textDocument.uri);
  if (params.state === "ok") {
    void vscode.window.showInformationMessage(`${name}: finished in ${duration(seconds)}.`);
  } else if (params.state === "error") {
    const what = params.error?.ename || "an error";
    void vscode.window.showWarningMessage(`${name}: ${what} after ${duration(seconds)}.`);
  }
}
