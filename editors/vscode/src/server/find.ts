// Finds the server on this machine.

import { constants } from "node:fs";
import { access } from "node:fs/promises";
import * as path from "node:path";
import * as vscode from "vscode";
import { type Command, candidates, firstThatExists } from "./candidates";
import { installedAt } from "./install";
import { selectedPython } from "./python";

const windows = process.platform === "win32";

/** The server to start, undefined where there is none. */
export async function findServer(context: vscode.ExtensionContext): Promise<Command | undefined> {
  const settings = vscode.workspace.getConfiguration("carpo.server");
  const trusted = vscode.workspace.isTrusted;
  const commands = candidates({
    serverPath: expandHome(settings.get("path", "")),
    serverPython: expandHome(settings.get("python", "")),
    environmentPython: trusted ? await selectedPython() : undefined,
    folders: (vscode.workspace.workspaceFolders ?? [])
      .filter((folder) => folder.uri.scheme === "file")
      .map((folder) => folder.uri.fsPath),
    trusted,
    searchPath: (process.env.PATH ?? "").split(path.delimiter),
    installed: installedAt(context),
    windows,
  });
  return firstThatExists(commands, canRun);
}

async function canRun(program: string): Promise<boolean> {
  try {
    await access(program, windows ? constants.F_OK : constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function expandHome(file: string): string {
  const home = process.env.HOME ?? process.env.USERPROFILE;
  return home && /^~[\\/]/.test(file) ? path.join(home, file.slice(2)) : file;
}
