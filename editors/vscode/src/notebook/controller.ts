// The kernel of notebooks: cells run in the same kernels as those of any other document.

import { randomUUID } from "node:crypto";
import * as vscode from "vscode";
import { mayRun } from "../commands";
import type { Ask } from "../connection";
import type { Kernels } from "../kernels";
import { type ExecutionState, isEnd, type OutputEvent } from "../protocol";
import { Run } from "./run";

/** Executions that have ended, of which displays may still be updated. */
const MOST_ENDED = 500;

/** What VS Code calls a kernel; ours runs any language that the server has a kernel for. */
export class Notebooks implements vscode.Disposable {
  private readonly controller: vscode.NotebookController;
  private readonly chosen = new WeakSet<vscode.NotebookDocument>();
  private readonly runs = new Map<string, Run>();
  private readonly ended = new Map<string, Run>();

  constructor(
    private readonly ask: Ask,
    private readonly kernels: Kernels,
  ) {
    this.controller = vscode.notebooks.createNotebookController(
      "carpo",
      "jupyter-notebook",
      "Carpo",
    );
    this.controller.description = "the notebook's kernel, by carpo-lsp";
    this.controller.detail = "Run by carpo-lsp, like the cells of scripts";
    this.controller.supportsExecutionOrder = true;
    this.controller.executeHandler = (cells) => this.execute(cells);
    this.controller.interruptHandler = (notebook) => this.interrupt(notebook);
    this.controller.onDidChangeSelectedNotebooks(({ notebook, selected }) => {
      if (selected) {
        this.chosen.add(notebook);
      } else {
        this.chosen.delete(notebook);
      }
    });
  }

  dispose(): void {
    this.controller.dispose();
  }

  onState(params: ExecutionState): void {
    const run = this.runs.get(params.executionId) ?? this.begin(params);
    run?.onState(params);
    if (run && isEnd(params.state)) {
      this.runs.delete(params.executionId);
      this.keepEnded(params.executionId, run);
    }
  }

  onOutput(params: OutputEvent): void {
    this.runs.get(params.executionId)?.onOutput(params);
    if (params.kind === "update") {
      this.ended.get(params.executionId)?.onLateUpdate(params);
    }
  }

  /** The server has gone, and with it what ran. */
  onServerEnd(): void {
    for (const run of this.runs.values()) {
      run.end(false);
    }
    this.runs.clear();
    this.ended.clear();
  }

  private async execute(cells: vscode.NotebookCell[]): Promise<void> {
    if (!(await mayRun())) {
      return;
    }
    // One after the other, so that they are queued in their order.
    for (const cell of cells) {
      if (cell.document.getText().trim() !== "") {
        const answer = await this.ask("carpo/execute", {
          textDocument: { uri: cell.document.uri.toString() },
          position: { line: 0, character: 0 },
          executionId: randomUUID(),
        });
        if (!answer) {
          return;
        }
      }
    }
  }

  /** Any execution of a cell is shown, also one that a command has started. */
  private begin(params: ExecutionState): Run | undefined {
    const cell = params.textDocument && findCell(params.textDocument.uri);
    if (!cell || !this.chosen.has(cell.notebook) || isEnd(params.state)) {
      return undefined;
    }
    if ([...this.runs.values()].some((run) => run.cell === cell)) {
      return undefined; // VS Code shows one at a time
    }
    const execution = this.controller.createNotebookCellExecution(cell);
    const run = new Run(this.controller, cell, execution);
    this.runs.set(params.executionId, run);
    return run;
  }

  private async interrupt(notebook: vscode.NotebookDocument): Promise<void> {
    for (const { kernelId } of this.kernels.of(notebook.uri.toString())) {
      await this.ask("carpo/interrupt", { kernelId });
    }
  }

  private keepEnded(executionId: string, run: Run): void {
    this.ended.set(executionId, run);
    for (const oldest of this.ended.keys()) {
      if (this.ended.size <= MOST_ENDED) {
        break;
      }
      this.ended.delete(oldest);
    }
  }
}

function findCell(uri: string): vscode.NotebookCell | undefined {
  const wanted = vscode.Uri.parse(uri).toString();
  for (const notebook of vscode.workspace.notebookDocuments) {
    const cell = notebook.getCells().find((each) => each.document.uri.toString() === wanted);
    if (cell) {
      return cell;
    }
  }
  return undefined;
}
