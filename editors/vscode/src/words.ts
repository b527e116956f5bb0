// Times and names as people read them.

/** `1.23 s`, `12.3 s`, `4 min 5 s`. */
export function duration(seconds: number): string {
  if (seconds < 60) {
    return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  }
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** The file name of a URI. */
export function nameOf(uri: string): string {
  return decodeURIComponent(uri.replace(/[#?].*/, "").replace(/.*\//, ""));
}

/** What a cell is called: the words behind its marker, else the first line of its code. */
export function titleOf(marker: string, firstLine: string): string {
  const words = /^\s*(?:#|\/\/|--|%)\s*%%+\s*(?:\[\w+\]\s*)?(.+)$/.exec(marker)?.[1];
  return (words ?? firstLine).trim();
}
