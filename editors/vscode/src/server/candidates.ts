// Where the server may be, the first that is there is taken.

import * as path from "node:path";

/** How a server is started, and where it was found, in words for a person. */
export interface Command {
  command: string;
  args: string[];
  from: string;
}

export interface Places {
  /** `carpo.server.path` and `carpo.server.python`, empty where they are not set. */
  serverPath: string;
  serverPython: string;
  /** The Python of the selected environment. */
  environmentPython: string | undefined;
  folders: string[];
  /** Whether programs of the workspace may be run. */
  trusted: boolean;
  /** The folders of PATH. */
  searchPath: string[];
  /** The environment that this extension installs the server into. */
  installed: string;
  windows: boolean;
}

/**
 * The servers that may be, best first. One that the user has named is the only one: what is wrong
 * with it is to be said, not hidden by another.
 */
export function candidates(places: Places): Command[] {
  if (places.serverPath) {
    return [{ command: places.serverPath, args: [], from: "carpo.server.path" }];
  }
  if (places.serverPython) {
    const args = ["-m", "carpo_lsp"];
    return [{ command: places.serverPython, args, from: "carpo.server.python" }];
  }
  const found: Command[] = [];
  const add = (folder: string, from: string) => {
    const command = path.join(folder, places.windows ? "carpo-lsp.exe" : "carpo-lsp");
    found.push({ command, args: [], from });
  };
  if (places.trusted && places.environmentPython) {
    add(path.dirname(places.environmentPython), "the selected Python environment");
  }
  if (places.trusted) {
    for (const folder of places.folders) {
      add(binOf(path.join(folder, ".venv"), places.windows), "the workspace's .venv");
    }
  }
  for (const folder of places.searchPath) {
    // A relative one would be in whatever folder is open.
    if (path.isAbsolute(folder)) {
      add(folder, "PATH");
    }
  }
  add(binOf(places.installed, places.windows), "this extension");
  return found;
}

/** The folder of an environment's programs. */
export function binOf(environment: string, windows: boolean): string {
  return path.join(environment, windows ? "Scripts" : "bin");
}

/** The first command whose program is there. */
export async function firstThatExists(
  commands: Command[],
  exists: (program: string) => Promise<boolean>,
): Promise<Command | undefined> {
  for (const command of commands) {
    // A bare name is looked up by the system.
    if (!path.isAbsolute(command.command) || (await exists(command.command))) {
      return command;
    }
  }
  return undefined;
}
