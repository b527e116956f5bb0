// The Python environment that is selected in the Python extension, where that is there.

import * as vscode from "vscode";

/** What we use of the API of ms-python.python. */
interface PythonApi {
  environments: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { path: string };
    resolveEnvironment(environment: {
      path: string;
    }): Promise<{ executable: { uri?: vscode.Uri } } | undefined>;
    onDidChangeActiveEnvironmentPath: vscode.Event<unknown>;
  };
}

async function api(): Promise<PythonApi | undefined> {
  const extension = vscode.extensions.getExtension<PythonApi>("ms-python.python");
  const exported = await extension?.activate();
  return exported?.environments ? exported : undefined;
}

/** The path of the selected environment's Python. */
export async function selectedPython(): Promise<string | undefined> {
  try {
    const environments = (await api())?.environments;
    if (!environments) {
      return undefined;
    }
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
    const resolved = await environments.resolveEnvironment(
      environments.getActiveEnvironmentPath(folder),
    );
    return resolved?.executable.uri?.fsPath;
  } catch {
    // Another extension's failure, which it tells itself, leaves the other places to look in.
    return undefined;
  }
}

/** Calls `listener` when another environment is selected. */
export async function onDidSelectPython(listener: () => void): Promise<vscode.Disposable> {
  const environments = (await api().catch(() => undefined))?.environments;
  return (
    environments?.onDidChangeActiveEnvironmentPath(listener) ?? new vscode.Disposable(() => {})
  );
}
