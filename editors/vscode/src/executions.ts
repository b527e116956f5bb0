// What has been run, as the notifications tell it: bounded, for the results view.

import {
  type ExecutionError,
  type ExecutionState,
  type HeldExecution,
  isEnd,
  type Output,
  type OutputEvent,
  type Range,
  type StateName,
} from "./protocol";

/** Of more outputs, or more of a stream's text, the last ones are kept. */
export const MOST_OUTPUTS = 200;
export const MOST_CHARACTERS = 100_000;

export interface KeptOutput {
  output: Output;
  displayId: string | undefined;
  /** Whether there was more of it. */
  cut: boolean;
}

export interface Execution {
  id: string;
  kernelId: string;
  uri: string;
  range: Range | undefined;
  state: StateName;
  count: number | undefined;
  error: ExecutionError | undefined;
  durationMs: number | undefined;
  outputs: KeptOutput[];
  /** How many outputs are no longer kept. */
  dropped: number;
}

type Listener = (execution: Execution) => void;

/** The executions of documents, in the order in which they were queued. */
export class Executions {
  private readonly known = new Map<string, Execution>();
  private readonly clearing = new Set<string>();
  private readonly listeners: Listener[] = [];

  /** Calls `listener` after each change of an execution. */
  onDidChange(listener: Listener): void {
    this.listeners.push(listener);
  }

  get(id: string): Execution | undefined {
    return this.known.get(id);
  }

  of(uri: string): Execution[] {
    return [...this.known.values()].filter((execution) => execution.uri === uri);
  }

  forget(id: string): void {
    this.known.delete(id);
    this.clearing.delete(id);
  }

  onState(params: ExecutionState): void {
    let execution = this.known.get(params.executionId);
    if (!execution) {
      if (!params.textDocument) {
        return; // nothing of a document
      }
      execution = emptyExecution(params.executionId, params.textDocument.uri, params.range);
      this.known.set(execution.id, execution);
    }
    execution.kernelId = params.kernelId;
    execution.state = params.state;
    execution.count = params.executionCount ?? execution.count;
    execution.error = params.error ?? undefined;
    execution.durationMs = params.durationMs ?? undefined;
    if (params.state === "queued") {
      execution.outputs = []; // one that is known is told again, from its beginning
    }
    if (isEnd(params.state)) {
      this.clearing.delete(execution.id);
    }
    this.tell(execution);
  }

  onOutput(params: OutputEvent): void {
    const execution = this.known.get(params.executionId);
    if (!execution) {
      return;
    }
    if (params.kind === "clear") {
      if (params.wait) {
        this.clearing.add(execution.id);
        return;
      }
      execution.outputs = [];
    } else if (params.output && params.kind === "update") {
      for (const kept of execution.outputs) {
        if (kept.displayId === params.displayId) {
          kept.output = params.output;
        }
      }
    } else if (params.output) {
      if (this.clearing.delete(execution.id)) {
        execution.outputs = [];
      }
      append(execution, params.output, params.displayId ?? undefined);
    }
    this.tell(execution);
  }

  /** Takes what the server has of a document from before. */
  restore(uri: string, held: HeldExecution[]): void {
    for (const each of held) {
      if (!this.known.has(each.executionId)) {
        const execution = emptyExecution(each.executionId, uri, each.range);
        execution.state = each.state;
        execution.count = each.executionCount ?? undefined;
        execution.error = each.error ?? undefined;
        for (const output of each.outputs) {
          append(execution, output, undefined);
        }
        this.known.set(execution.id, execution);
        this.tell(execution);
      }
    }
  }

  /** The server has gone, and with it what ran. */
  onServerEnd(): void {
    for (const execution of this.known.values()) {
      if (!isEnd(execution.state)) {
        execution.state = "died";
        this.tell(execution);
      }
    }
  }

  private tell(execution: Execution): void {
    for (const listener of this.listeners) {
      listener(execution);
    }
  }
}

function emptyExecution(id: string, uri: string, range: Range | null | undefined): Execution {
  return {
    id,
    kernelId: "",
    uri,
    range: range ?? undefined,
    state: "queued",
    count: undefined,
    error: undefined,
    durationMs: undefined,
    outputs: [],
    dropped: 0,
  };
}

function append(execution: Execution, output: Output, displayId: string | undefined): void {
  const last = execution.outputs.at(-1);
  if (
    output.output_type === "stream" &&
    last?.output.output_type === "stream" &&
    last.output.name === output.name
  ) {
    const text = last.output.text + output.text;
    last.cut ||= text.length > MOST_CHARACTERS;
    last.output = { ...last.output, text: text.slice(-MOST_CHARACTERS) };
    return;
  }
  execution.outputs.push(kept(output, displayId));
  if (execution.outputs.length > MOST_OUTPUTS) {
    execution.outputs.shift();
    execution.dropped += 1;
  }
}

function kept(output: Output, displayId: string | undefined): KeptOutput {
  if (output.output_type !== "stream" || output.text.length <= MOST_CHARACTERS) {
    return { output, displayId, cut: false };
  }
  return { output: { ...output, text: output.text.slice(-MOST_CHARACTERS) }, displayId, cut: true };
}
