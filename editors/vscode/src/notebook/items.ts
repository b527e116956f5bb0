// Outputs of Jupyter as the items of a notebook's outputs.

import { type Output, wholeOutput } from "../protocol";

export interface Item {
  mime: string;
  data: string | Uint8Array;
}

export const STDOUT = "application/vnd.code.notebook.stdout";
export const STDERR = "application/vnd.code.notebook.stderr";
export const ERROR = "application/vnd.code.notebook.error";

/** Best first: what stands before another is shown in its place. */
const PREFERRED = [
  "application/vnd.",
  "text/html",
  "image/svg+xml",
  "image/png",
  "image/jpeg",
  "image/gif",
  "text/markdown",
  "text/latex",
  "application/json",
  "text/plain",
];

/** The items of an output. */
export function itemsOf(output: Output): Item[] {
  if (output.output_type === "stream") {
    const mime = output.name === "stderr" ? STDERR : STDOUT;
    return [{ mime, data: output.text + noteOfCut(output) }];
  }
  if (output.output_type === "error") {
    const { ename, evalue, traceback } = output;
    const error = { name: ename, message: evalue, stack: traceback.join("\n") };
    return [{ mime: ERROR, data: JSON.stringify(error) }];
  }
  return Object.entries(output.data)
    .map(([mime, data]) => ({ mime, data: dataOf(mime, data) }))
    .sort((a, b) => rank(a.mime) - rank(b.mime));
}

/** What an output has to have so that the notebook's file is right. */
export function metadataOf(output: Output, displayId: string | undefined): Record<string, unknown> {
  return {
    outputType: output.output_type,
    ...(output.output_type === "execute_result"
      ? { executionCount: output.execution_count ?? null }
      : {}),
    metadata: output.metadata ?? {},
    ...(displayId ? { transient: { display_id: displayId } } : {}),
  };
}

/** Text as it is, images as bytes, JSON as text. */
function dataOf(mime: string, data: unknown): string | Uint8Array {
  const text = Array.isArray(data) ? data.join("") : data;
  if (typeof text !== "string") {
    return JSON.stringify(text);
  }
  const binary = mime.startsWith("image/") && mime !== "image/svg+xml";
  return binary ? Buffer.from(text, "base64") : text;
}

function rank(mime: string): number {
  const found = PREFERRED.findIndex(
    (each) => mime === each || (each.endsWith(".") && mime.startsWith(each)),
  );
  return found < 0 ? PREFERRED.length : found;
}

function noteOfCut(output: Output): string {
  const whole = wholeOutput(output);
  if (!whole) {
    return "";
  }
  return whole.path
    ? `\n[the beginning of ${whole.bytes} bytes; all of them: ${whole.path}]\n`
    : `\n[the beginning of ${whole.bytes} bytes]\n`;
}
