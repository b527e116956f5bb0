// Requests to the server, whose errors are for the user.

import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";

/** Asks the server; undefined where it could not be asked or has refused, of which is told. */
export type Ask = <T>(method: string, params: object) => Promise<T | undefined>;

/** The server, which comes and goes. */
export class Connection {
  private client: LanguageClient | undefined;

  constructor(private readonly log: vscode.LogOutputChannel) {}

  set(client: LanguageClient | undefined): void {
    this.client = client;
  }

  get running(): boolean {
    return this.client?.isRunning() ?? false;
  }

  readonly ask: Ask = async <T>(method: string, params: object): Promise<T | undefined> => {
    if (!this.client?.isRunning()) {
      void vscode.window.showWarningMessage("carpo-lsp is not running.");
      return undefined;
    }
    try {
      return await this.client.sendRequest<T>(method, params);
    } catch (error) {
      this.log.warn(`${method}: ${String(error)}`);
      void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  };
}
