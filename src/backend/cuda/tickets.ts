import type { NtxError } from '../../errors.js';
import { COMPUTE, COPIES, type NativeEngine, type StreamNumber } from './binding.js';

interface Waiter {
  readonly stream: StreamNumber;
  readonly ticket: number;
  resolve(): void;
  reject(reason: NtxError): void;
}

/** Promises of what the device has yet to complete. */
export class Tickets {
  readonly #completed: [compute: number, copies: number] = [0, 0];
  readonly #enqueued: [compute: number, copies: number] = [0, 0];
  #waiters: Waiter[] = [];
  #failure: NtxError | null = null;

  constructor(private readonly engine: Pick<NativeEngine, 'watch'>) {}

  /** What the device failed with, if it has. */
  get failure(): NtxError | null {
    return this.#failure;
  }

  enqueued(stream: StreamNumber, ticket: number): void {
    this.#enqueued[stream] = ticket;
  }

  /** Rejects when the device has failed. */
  wait(stream: StreamNumber, ticket: number): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (ticket <= this.#completed[stream]) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ stream, ticket, resolve, reject });
      this.engine.watch(stream, ticket);
    });
  }

  async waitForAll(): Promise<void> {
    await Promise.all(([COMPUTE, COPIES] as const).map((stream) => this.wait(stream, this.#enqueued[stream])));
  }

  /** Called with the last tickets that are known to have completed. */
  complete(compute: number, copies: number, failure: NtxError | null): void {
    this.#completed[COMPUTE] = Math.max(this.#completed[COMPUTE], compute);
    this.#completed[COPIES] = Math.max(this.#completed[COPIES], copies);
    this.#failure ??= failure;
    const waiting = this.#waiters;
    const isDone = ({ stream, ticket }: Waiter) => ticket <= this.#completed[stream];
    this.#waiters = failure === null ? waiting.filter((waiter) => !isDone(waiter)) : [];
    for (const waiter of waiting) {
      if (isDone(waiter)) waiter.resolve();
      else if (failure !== null) waiter.reject(failure);
    }
  }
}
