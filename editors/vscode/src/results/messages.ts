// What the results view and its page tell each other.

export interface ToPage {
  /** The name of the document whose results are shown. */
  name: string;
  /** The executions to show, in this order. */
  order: string[];
  changed: { id: string; html: string }[];
  /** The execution to bring into view. */
  show: string | undefined;
  /** What is said where there is none. */
  empty: string;
}

export type FromPage = { kind: "ready" } | { kind: "reveal"; id: string };
