// Input that running code waits for, in boxes: one at a time.

import * as vscode from "vscode";
import type { Ask } from "./connection";
import { type ExecutionState, type InputRequest, isEnd } from "./protocol";

/** The prompts that wait, the one on the screen first. */
export class Prompts {
  private readonly waiting: InputRequest[] = [];
  private box: { prompt: InputRequest; cancel: vscode.CancellationTokenSource } | undefined;

  constructor(private readonly request: Ask) {}

  onInput(prompt: InputRequest): void {
    this.waiting.push(prompt);
    this.next();
  }

  /** Closes the box of code that no longer waits: interrupted, ended, or answered elsewhere. */
  onState(params: ExecutionState): void {
    if (params.state === "running" || isEnd(params.state)) {
      this.drop((prompt) => prompt.executionId === params.executionId);
    }
  }

  /** The server has gone, and nobody waits any more. */
  onServerEnd(): void {
    this.drop(() => true);
  }

  /** Shows a box again that was closed without an answer. */
  ask(): void {
    if (this.waiting.length === 0) {
      void vscode.window.showInformationMessage("carpo: no code waits for input.");
    }
    this.next();
  }

  private next(): void {
    const prompt = this.waiting[0];
    if (prompt && !this.box) {
      void this.show(prompt);
    }
  }

  private async show(prompt: InputRequest): Promise<void> {
    const cancel = new vscode.CancellationTokenSource();
    this.box = { prompt, cancel };
    const value = await vscode.window.showInputBox(
      {
        title: "The running code asks",
        prompt: prompt.prompt || "Input",
        password: prompt.password,
        ignoreFocusOut: true,
      },
      cancel.token,
    );
    this.box = undefined;
    cancel.dispose();
    if (!this.waiting.includes(prompt)) {
      this.next(); // it was dropped meanwhile
    } else if (value === undefined) {
      this.tellThatItWaits(prompt);
    } else {
      this.waiting.splice(this.waiting.indexOf(prompt), 1);
      const { kernelId, executionId } = prompt;
      await this.request("carpo/stdin", { kernelId, executionId, value });
      this.next();
    }
  }

  private tellThatItWaits(prompt: InputRequest): void {
    const [answer, interrupt] = ["Answer", "Interrupt"];
    vscode.window
      .showInformationMessage("The code still waits for input.", answer, interrupt)
      .then((chosen) => {
        if (chosen === answer && this.waiting.includes(prompt)) {
          this.next();
        } else if (chosen === interrupt) {
          void this.request("carpo/interrupt", { kernelId: prompt.kernelId });
        }
      });
  }

  private drop(ended: (prompt: InputRequest) => boolean): void {
    const left = this.waiting.filter((prompt) => !ended(prompt));
    this.waiting.splice(0, this.waiting.length, ...left);
    if (this.box && ended(this.box.prompt)) {
      this.box.cancel.cancel();
    }
  }
}
