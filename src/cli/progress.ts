import { bytesText } from './output.js';

/** What is over sooner needs no bar. */
const BAR_AFTER_MS = 1000;

interface Bar {
  setTotal(total: number): void;
  update(value: number, payload: object): void;
  stop(): void;
}

/** A bar with bytes and rate on stderr for work that takes over a second; nothing where stderr is no terminal. */
export class Progress {
  private readonly started = performance.now();
  private readonly timer: NodeJS.Timeout | undefined;
  private done = 0;
  private total = 0;
  private bar: Bar | null = null;
  private ended = false;

  constructor(private readonly verb: string) {
    if (process.stderr.isTTY) this.timer = setTimeout(() => void this.show(), BAR_AFTER_MS);
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
    const format = `${this.verb} {bar} {percentage}% | {written} of {whole} | {rate}/s | {eta_formatted} left`;
    const options = { format, stream: process.stderr, clearOnComplete: true, barsize: 20, hideCursor: false };
    const bar = new cliProgress.SingleBar(options, cliProgress.Presets.shades_classic);
    bar.start(this.total, this.done, this.payload());
    this.bar = bar;
  }

  private payload(): object {
    const seconds = (performance.now() - this.started) / 1000;
    return { written: bytesText(this.done), whole: bytesText(this.total), rate: bytesText(this.done / seconds) };
  }
}
