import { bytesText } from './output.js';

/** What is over sooner needs no bar. */
const BAR_AFTER_MS = 1000;
const MOST_BAR = 20;
const LEAST_BAR = 5;
/** Of a terminal that does not say. */
const COLUMNS = 80;

/** Work that is counted: in bytes, with rate and time left, or piece by piece. */
export interface Work {
  readonly title: string;
  readonly unit: 'bytes' | 'pieces';
}

interface State {
  readonly work: Work;
  /** By performance.now(), with what had been done by then: rates are of what was seen. */
  readonly began: number;
  readonly before: number;
  /** When `done` was told. */
  at: number;
  done: number;
  total: number;
}

/** A line of at most so many columns; a bar takes what its text leaves. */
export function progressLine({ work, began, before, at, done, total }: State, now: number, columns: number): string {
  const share = total > 0 ? Math.min(1, done / total) : 1;
  const title = work.title.padEnd(12);
  const percent = `${Math.floor(100 * share)}%`.padStart(4);
  const until = done < total ? now : at;
  const rate = until > began ? (1000 * (done - before)) / (until - began) : 0;
  const left = done >= total ? 'done' : rate > 0 ? `${durationText((total - done) / rate)} left` : '';
  const facts =
    work.unit === 'pieces'
      ? `${done} of ${total}`
      : [`${bytesText(done)} of ${bytesText(total)}`, `${bytesText(rate)}/s`, left].filter(Boolean).join(' | ');
  // The last column stays empty: some terminals wrap there.
  const room = columns - 1 - `${title}  ${percent} | ${facts}`.length;
  const width = Math.max(LEAST_BAR, Math.min(MOST_BAR, room));
  const full = Math.round(width * share);
  return `${title} ${'█'.repeat(full)}${'░'.repeat(width - full)} ${percent} | ${facts}`;
}

/** "9s", "4m 05s", "2h 10m" */
function durationText(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole}s`;
  const two = (value: number) => `${value}`.padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`;
}

interface Bars {
  create(total: number, value: number, payload: State): { update(value: number, payload: State): void };
  stop(): void;
}

/**
 * Bars on stderr, one for each work that has been told of, when it takes over a second; nothing where stderr is no terminal, or
 * one that cannot move its cursor.
 */
export class Progress {
  private readonly timer: NodeJS.Timeout | undefined;
  private readonly states = new Map<Work, State>();
  private readonly shown = new Map<State, ReturnType<Bars['create']>>();
  private bars: Bars | null = null;
  private ended = false;

  /** @param started when the work began, by performance.now() */
  constructor(
    started = performance.now(),
    private readonly stream: NodeJS.WriteStream = process.stderr,
  ) {
    const delay = Math.max(0, started + BAR_AFTER_MS - performance.now());
    if (stream.isTTY && process.env.TERM !== 'dumb') this.timer = setTimeout(() => void this.show(), delay);
  }

  update(work: Work, done: number, total: number): void {
    const at = performance.now();
    const state = this.states.get(work) ?? { work, began: at, before: done, at, done, total };
    Object.assign(state, { at, done, total });
    this.states.set(work, state);
    this.draw(state);
  }

  end(): void {
    this.ended = true;
    clearTimeout(this.timer);
    this.bars?.stop();
  }

  private async show(): Promise<void> {
    const { default: cliProgress } = await import('cli-progress');
    if (this.ended) return;
    const { stream } = this;
    const format = (_options: unknown, _params: unknown, state: State) =>
      progressLine(state, performance.now(), stream.columns || COLUMNS);
    this.bars = new cliProgress.MultiBar({ format, stream, clearOnComplete: true, hideCursor: false });
    for (const state of this.states.values()) this.draw(state);
  }

  private draw(state: State): void {
    if (this.bars === null || this.ended) return;
    const bar = this.shown.get(state) ?? this.bars.create(state.total, state.done, state);
    this.shown.set(state, bar);
    bar.update(state.done, state);
  }
}
