// The language client, and what it does differently from any other.

import * as vscode from "vscode";
import { LanguageClient, type Middleware, ResponseError } from "vscode-languageclient/node";
import type { Intercept } from "./commands";
import type { Command } from "./server/candidates";
import { languages, settingsForServer } from "./settings";

const SCHEMES = ["file", "untitled", "vscode-notebook-cell", "vscode-remote"];

/** A client for the server that `command` starts; it is not started yet. */
export function createClient(
  context: vscode.ExtensionContext,
  command: Command,
  log: vscode.LogOutputChannel,
  intercept: Intercept,
): LanguageClient {
  const { extension } = context;
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const cwd = folder?.scheme === "file" ? { cwd: folder.fsPath } : {};
  const client = new LanguageClient(
    "carpo",
    "carpo-lsp",
    { command: command.command, args: command.args, options: cwd },
    {
      // The score of a selector decides whose completions come first: ours is that of Pylance.
      documentSelector: languages().flatMap((language) =>
        SCHEMES.map((scheme) => ({ language, scheme })),
      ),
      initializationOptions: () => ({
        carpo: { ...settingsForServer(extension), notifications: true },
      }),
      outputChannel: log,
      middleware: middleware(extension, intercept),
      stdioOptions: {
        stdout: () => {},
        stderr: (stream) => stream.on("data", (data) => log.info(String(data).trimEnd())),
      },
    },
  );
  return client;
}

function middleware(extension: vscode.Extension<unknown>, intercept: Intercept): Middleware {
  return {
    workspace: {
      configuration: async (params, token, next) => {
        const values = await next(params, token);
        return values instanceof ResponseError
          ? values
          : params.items.map((item, index) =>
              item.section === "carpo" ? settingsForServer(extension) : values[index],
            );
      },
    },
    window: {
      showDocument: async (params, token, next) => {
        const uri = vscode.Uri.parse(params.uri);
        if (params.external || params.takeFocus || params.selection || uri.scheme !== "file") {
          return next(params, token);
        }
        // VS Code would cover the code with it.
        const viewColumn = vscode.ViewColumn.Beside;
        await vscode.window.showTextDocument(uri, { viewColumn, preserveFocus: true });
        return { success: true };
      },
    },
    executeCommand: intercept,
    // A notebook has buttons of its own, and shows results below its cells.
    provideCodeLenses: (document, token, next) => (isCell(document) ? [] : next(document, token)),
    provideInlayHints: (document, range, token, next) =>
      isCell(document) ? [] : next(document, range, token),
  };
}

function isCell(document: vscode.TextDocument): boolean {
  return document.uri.scheme === "vscode-notebook-cell";
}
