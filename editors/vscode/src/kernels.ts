// The kernels there are, which one a document has, and the choice of another.

import * as vscode from "vscode";
import type { Ask } from "./connection";
import type { Kernel, KernelSpec, KernelStatus } from "./protocol";
import { nameOf } from "./words";

interface Choice extends vscode.QuickPickItem {
  kernel?: Kernel;
  spec?: KernelSpec;
}

/** The kernels of the server, as it tells of them. */
export class Kernels {
  private readonly known = new Map<string, Kernel>();
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;

  constructor(private readonly ask: Ask) {}

  onStatus(params: KernelStatus): void {
    if (params.status === "stopped") {
      this.known.delete(params.kernelId);
    } else {
      this.known.set(params.kernelId, params.kernel);
    }
    this.changed.fire();
  }

  /** Which documents a kernel has is told with its status alone; after a choice it is asked for. */
  async refresh(): Promise<void> {
    const answer = await this.ask<{ kernels: Kernel[] }>("carpo/listKernels", {});
    if (answer) {
      this.known.clear();
      for (const kernel of answer.kernels) {
        this.known.set(kernel.kernelId, kernel);
      }
      this.changed.fire();
    }
  }

  onServerEnd(): void {
    this.known.clear();
    this.changed.fire();
  }

  get(kernelId: string): Kernel | undefined {
    return this.known.get(kernelId);
  }

  /** The kernels of a document, or of a notebook. */
  of(uri: string): Kernel[] {
    return [...this.known.values()].filter((kernel) => kernel.documents.includes(uri));
  }

  /**
   * Lets the user choose the kernel of the active document. `run` is the server's command
   * `carpo.selectKernel`, which remembers a kernelspec for the project.
   */
  async pick(
    run: (command: string, args: unknown[]) => vscode.ProviderResult<unknown>,
  ): Promise<void> {
    const uri = activeDocument();
    if (!uri) {
      void vscode.window.showWarningMessage("carpo: open the document that is to get a kernel.");
      return;
    }
    const chosen = await vscode.window.showQuickPick(this.choices(), {
      title: "Select the kernel that runs this document",
      matchOnDescription: true,
      matchOnDetail: true,
    });
    if (chosen?.kernel) {
      const params = { textDocument: { uri }, kernelId: chosen.kernel.kernelId };
      await this.ask("carpo/selectKernel", params);
    } else if (chosen?.spec) {
      await run("carpo.selectKernel", [uri, chosen.spec.specPath]);
    }
    if (chosen) {
      await this.refresh();
    }
  }

  private async choices(): Promise<Choice[]> {
    const [kernels, specs] = await Promise.all([
      this.ask<{ kernels: Kernel[] }>("carpo/listKernels", {}),
      this.ask<{ specs: KernelSpec[] }>("carpo/listKernelSpecs", {}),
    ]);
    return [...runningChoices(kernels?.kernels ?? []), ...specChoices(specs?.specs ?? [])];
  }
}

function runningChoices(kernels: Kernel[]): Choice[] {
  const alive = kernels.filter((kernel) => kernel.status !== "dead");
  const choices = alive.map((kernel) => ({
    label: `$(vm-running) ${kernel.displayName}`,
    description: [kernel.status, kernel.pid && `pid ${kernel.pid}`].filter(Boolean).join(", "),
    detail: kernel.documents.map(nameOf).join(", "),
    kernel,
  }));
  return choices.length > 0 ? [separator("Running"), ...choices] : [];
}

function specChoices(specs: KernelSpec[]): Choice[] {
  const group = (title: string, origin: KernelSpec["origin"]) => {
    const found = specs.filter((spec) => spec.origin === origin);
    const choices = found.map((spec) => ({
      label: spec.displayName,
      description: spec.language,
      detail: spec.specPath,
      spec,
    }));
    return choices.length > 0 ? [separator(title), ...choices] : [];
  };
  return [...group("Python environments", "environment"), ...group("Kernelspecs", "jupyter")];
}

function separator(label: string): Choice {
  return { label, kind: vscode.QuickPickItemKind.Separator };
}

/** The URI of the document in front, that of the notebook for one of its cells. */
export function activeDocument(): string | undefined {
  const uri =
    vscode.window.activeNotebookEditor?.notebook.uri ??
    vscode.window.activeTextEditor?.document.uri;
  return uri?.toString();
}
