// One execution of a notebook's cell, and the outputs that it has.

import * as vscode from "vscode";
import { type ExecutionState, isEnd, type Output, type OutputEvent } from "../protocol";
import { itemsOf, metadataOf } from "./items";

/** Shows an execution below its cell. */
export class Run {
  private readonly displays = new Map<string, vscode.NotebookCellOutput[]>();
  private stream: { name: string; output: vscode.NotebookCellOutput } | undefined;
  private clearing = false;
  private started = false;

  constructor(
    private readonly controller: vscode.NotebookController,
    readonly cell: vscode.NotebookCell,
    private execution: vscode.NotebookCellExecution,
  ) {}

  onState(params: ExecutionState): void {
    if (params.state === "running" && !this.started) {
      this.start();
    }
    if (typeof params.executionCount === "number") {
      this.execution.executionOrder = params.executionCount;
    }
    if (isEnd(params.state)) {
      this.end(params.state === "ok" || (params.state === "aborted" ? undefined : false));
    }
  }

  /** It ended without a word from the server. */
  end(success: boolean | undefined): void {
    if (!this.started) {
      this.start(); // what has not started cannot end
    }
    this.execution.end(success, Date.now());
  }

  onOutput(params: OutputEvent): void {
    if (params.kind === "clear") {
      if (params.wait) {
        this.clearing = true;
      } else {
        this.clear();
      }
    } else if (params.output && params.kind === "update") {
      this.update(params.output, params.displayId ?? "");
    } else if (params.output) {
      if (this.clearing) {
        this.clear();
      }
      this.append(params.output, params.displayId ?? undefined);
    }
  }

  /** An update that comes after the end is one of an execution of its own, as VS Code has it. */
  onLateUpdate(params: OutputEvent): void {
    const { executionSummary: summary } = this.cell;
    this.execution = this.controller.createNotebookCellExecution(this.cell);
    this.execution.start(summary?.timing?.startTime);
    this.execution.executionOrder = summary?.executionOrder;
    this.onOutput(params);
    this.execution.end(summary?.success, summary?.timing?.endTime);
  }

  private start(): void {
    this.started = true;
    this.execution.start(Date.now());
    this.clear();
  }

  private clear(): void {
    this.clearing = false;
    this.stream = undefined;
    this.displays.clear();
    void this.execution.clearOutput();
  }

  private append(output: Output, displayId: string | undefined): void {
    if (output.output_type === "stream") {
      if (this.stream?.name === output.name) {
        void this.execution.appendOutputItems(items(output), this.stream.output);
        return;
      }
      const created = new vscode.NotebookCellOutput(items(output), metadataOf(output, undefined));
      this.stream = { name: output.name, output: created };
      void this.execution.appendOutput(created);
      return;
    }
    this.stream = undefined;
    const created = new vscode.NotebookCellOutput(items(output), metadataOf(output, displayId));
    if (displayId) {
      this.displays.set(displayId, [...(this.displays.get(displayId) ?? []), created]);
    }
    void this.execution.appendOutput(created);
  }

  private update(output: Output, displayId: string): void {
    for (const shown of this.displays.get(displayId) ?? []) {
      void this.execution.replaceOutputItems(items(output), shown);
    }
  }
}

function items(output: Output): vscode.NotebookCellOutputItem[] {
  return itemsOf(output).map(({ mime, data }) =>
    typeof data === "string"
      ? vscode.NotebookCellOutputItem.text(data, mime)
      : new vscode.NotebookCellOutputItem(data, mime),
  );
}
