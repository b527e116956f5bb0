// The part of the carpo protocol that this extension uses: docs/protocol.md.

export interface Position {
  line: number;
  character: number;
}

export interface Range {
  start: Position;
  end: Position;
}

export type KernelStatusName = "starting" | "idle" | "busy" | "restarting" | "dead" | "stopped";

export interface Kernel {
  kernelId: string;
  displayName: string;
  language: string;
  status: KernelStatusName;
  owned: boolean;
  kept: boolean;
  pid: number | null;
  documents: string[];
  startedAt: string | null;
  resources: { rssBytes: number; cpuPercent: number } | null;
}

export interface KernelSpec {
  name: string;
  specPath: string;
  displayName: string;
  language: string;
  origin: "jupyter" | "environment";
}

export interface KernelStatus {
  kernelId: string;
  status: KernelStatusName;
  reason?: string | null;
  cause?: string | null;
  stderrTail?: string | null;
  kernel: Kernel;
}

/** The last four are the end. */
export type StateName = "queued" | "running" | "waitingInput" | "ok" | "error" | "aborted" | "died";

export interface ExecutionError {
  ename: string;
  evalue: string;
  traceback: string[];
}

export interface ExecutionState {
  kernelId: string;
  executionId: string;
  textDocument?: { uri: string } | null;
  range?: Range | null;
  state: StateName;
  executionCount?: number | null;
  error?: ExecutionError | null;
  durationMs?: number | null;
}

export type Bundle = Record<string, unknown>;

/** Keys as nbformat 4 has them; `text` and the texts of a bundle may be lists of lines. */
export type Output =
  | { output_type: "stream"; name: "stdout" | "stderr"; text: string; metadata?: Bundle }
  | { output_type: "error"; ename: string; evalue: string; traceback: string[]; metadata?: Bundle }
  | {
      output_type: "display_data" | "execute_result";
      data: Bundle;
      metadata?: Bundle;
      execution_count?: number | null;
    };

export interface OutputEvent {
  kernelId: string;
  executionId: string;
  textDocument?: { uri: string } | null;
  kind: "append" | "update" | "clear";
  output?: Output | null;
  displayId?: string | null;
  wait?: boolean | null;
}

export interface InputRequest {
  kernelId: string;
  executionId: string;
  textDocument?: { uri: string } | null;
  prompt: string;
  password: boolean;
}

export interface HeldExecution {
  executionId: string;
  range?: Range | null;
  state: StateName;
  executionCount?: number | null;
  error?: ExecutionError | null;
  outputs: Output[];
}

export function isEnd(state: StateName): boolean {
  return state === "ok" || state === "error" || state === "aborted" || state === "died";
}

/** Where the whole of an output is that was too big to be sent. */
export function wholeOutput(output: Output): { path: string | null; bytes: number } | undefined {
  const carpo = output.metadata?.carpo as
    | { truncated?: boolean; path?: string | null; bytes?: number }
    | undefined;
  return carpo?.truncated ? { path: carpo.path ?? null, bytes: carpo.bytes ?? 0 } : undefined;
}
