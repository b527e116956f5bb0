// Where in a document something is, while the document is edited.

interface Position {
  line: number;
  character: number;
}

export interface Change {
  start: Position;
  end: Position;
  text: string;
}

/** Where a line is after a change; undefined if its beginning has been removed. */
export function moved(line: number, change: Change): number | undefined {
  const added = change.text.split("\n").length - 1;
  if (!isBefore(change.start, line)) {
    const atBeginning = change.start.line === line && change.start.character === 0;
    return atBeginning && change.text.endsWith("\n") ? line + added : line;
  }
  if (change.end.line > line || (change.end.line === line && change.end.character > 0)) {
    return undefined;
  }
  return line + added - (change.end.line - change.start.line);
}

function isBefore(position: Position, line: number): boolean {
  return position.line < line;
}
