import { bytesText } from './output.js';

/** What is over sooner needs no bar. */
const BAR_AFTER_MS = 1000;

/** A line of cli-progress, and what its names beside {bar}, {value} and {total} stand for. */
interface Line {
  readonly format: string;
  payload(done: number, total: number, seconds: number): object;
}

/** Of work in bytes: "loading", "writing". */
export function bytesLine(verb: string): Line {
  return {
    format: `${verb} {bar} {percentage}% | {written} of {whole} | {rate}/s | {eta_formatted} left`,
    payload: (done, total, seconds) => ({
      written: bytesText(done),
      whole: bytesText(total),
      rate: bytesText(done / seconds),
    }),
  };
}

export const KERNELS_LINE: Line = { format: 'compiling kernels {bar} {value} of {total}', payload: () => ({}) };

interface Bar {
  setTotal(total: number): void;
  update(value: number, payload: object): void;
  stop(): void;
}

/** A bar on stderr for work that takes over a second; nothing where stderr is no terminal. */
export class Progress {
  private readonly timer: NodeJS.Timeout | undefined;
  private done = 0;
  private total = 0;
  private bar: Bar | null = null;
  private ended = false;

  /** @param started when the work began that the bar is a part of, by performance.now() */
  constructor(
    private readonly line: Line,
    readonly started = performance.now(),
    private readonly stream: NodeJS.WriteStream = process.stderr,
  ) {
    const delay = Math.max(0, started + BAR_AFTER_MS - performance.now());
    if (stream.isTTY) this.timer = setTimeout(() => void this.show(), delay);
  }

  update(done: number, total: number): void {
    this.done = done;
    this.total = total;
    this.bar?.setTotal(total);
    this.bar?.update(done, this.payload());
  }

  end(): void {
    this.ended = true;
    clearTimeout(this.timer);
    this.bar?.stop();
  }

  private async show(): Promise<void> {
    const { default: cliProgress } = await import('cli-progress');
    if (this.ended) return;
    const { format } = this.line;
    const options = { format, stream: this.stream, clearOnComplete: true, barsize: 20, hideCursor: false };
    const bar = new cliProgress.SingleBar(options, cliProgress.Presets.shades_classic);
    bar.start(this.total, this.done, this.payload());
    this.bar = bar;
  }

  private payload(): object {
    return this.line.payload(this.done, this.total, (performance.now() - this.started) / 1000);
  }
}
