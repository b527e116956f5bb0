// The user's settings as the server is to have them.

import * as vscode from "vscode";

/** Sections of `carpo` that are this extension's own; the server has no use for them. */
const OWN = ["server", "view", "languages", "trace"];

type Tree = { [key: string]: unknown };

/**
 * What the user has set under `carpo`, without the defaults: these are the server's, and would go
 * before what a project's file says. Where the workspace is not trusted no kernel starts by itself.
 */
export function settingsForServer(extension: vscode.Extension<unknown>): Tree {
  const settings = vscode.workspace.getConfiguration();
  const values: Tree = {};
  for (const key of keysOf(extension)) {
    const found = settings.inspect(key);
    const set =
      found?.workspaceFolderValue ?? found?.workspaceValue ?? found?.globalValue ?? undefined;
    if (set !== undefined) {
      // The value itself, which knows what restricted workspaces may set.
      put(values, key.split(".").slice(1), settings.get(key));
    }
  }
  if (!vscode.workspace.isTrusted) {
    put(values, ["kernel", "start"], "never");
  }
  return values;
}

function keysOf(extension: vscode.Extension<unknown>): string[] {
  const declared = extension.packageJSON.contributes.configuration as { properties: Tree }[];
  return declared
    .flatMap((section) => Object.keys(section.properties))
    .filter((key) => !OWN.includes(key.split(".")[1] ?? ""));
}

/** Sets a value below a path of keys. */
export function put(tree: Tree, [key = "", ...rest]: string[], value: unknown): void {
  if (rest.length === 0) {
    tree[key] = value;
    return;
  }
  const below = (tree[key] ?? {}) as Tree;
  tree[key] = below;
  put(below, rest, value);
}

/** The languages whose documents are served. */
export function languages(): string[] {
  return vscode.workspace.getConfiguration("carpo").get("languages", []);
}
