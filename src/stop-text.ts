/**
 * Watches a stream of text for stop texts, which may arrive in pieces: text that could be the beginning of one is held
 * back until it is decided.
 */
export class StopText {
  private held = '';
  private readonly stops: readonly string[];

  constructor(stops: readonly string[]) {
    this.stops = stops.filter((stop) => stop.length > 0);
  }

  /** The text that may be shown now; `stopped` when a stop text came (it is not shown, nor anything after it). */
  push(text: string): { text: string; stopped: boolean } {
    const all = this.held + text;
    const start = firstMatch(all, this.stops);
    if (start >= 0) {
      this.held = '';
      return { text: all.slice(0, start), stopped: true };
    }
    const keep = Math.max(0, ...this.stops.map((stop) => overlap(all, stop)));
    this.held = all.slice(all.length - keep);
    return { text: all.slice(0, all.length - keep), stopped: false };
  }

  /** What was held back, when nothing more comes. */
  end(): string {
    const text = this.held;
    this.held = '';
    return text;
  }
}

/** Where the stop text begins that is complete first, as if the text had come letter by letter; -1 without one. */
function firstMatch(text: string, stops: readonly string[]): number {
  let first = { start: -1, end: Number.POSITIVE_INFINITY };
  for (const stop of stops) {
    const start = text.indexOf(stop);
    const end = start + stop.length;
    if (start >= 0 && (end < first.end || (end === first.end && start < first.start))) first = { start, end };
  }
  return first.start;
}

/** Length of the longest proper beginning of `stop` that `text` ends with. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
