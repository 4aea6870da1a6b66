import type { PairTable } from './pair-table.js';

/** Heap keys are rank * 2^32 + position: ranks below 2^20 keep them exact in a double. */
const POSITIONS = 2 ** 32;

const REMOVED = -2;
const END = -1;

/**
 * Byte-pair merging: the pair of lowest rank merges first, the leftmost of equals. A linked list of symbols and a heap of
 * pairs make it n log n in the length of the word: a megabyte of one letter is one word.
 */
export class Merger {
  private next = new Int32Array(64);
  private previous = new Int32Array(64);
  private heap = new Float64Array(64);
  private heapSize = 0;

  constructor(private readonly pairs: PairTable) {}

  /** Merges the first `count` symbols in place; returns how many are left. */
  merge(symbols: Int32Array, count: number): number {
    this.link(count);
    this.heapSize = 0;
    for (let i = 0; i + 1 < count; i++) this.offer(symbols, i);
    while (this.heapSize > 0) {
      const key = this.pop();
      const rank = Math.floor(key / POSITIONS);
      const left = key - rank * POSITIONS;
      const right = this.next[left];
      // A pair whose left or right part has changed since it was offered has another rank now, or none.
      if (right < 0 || this.pairs.rank(symbols[left], symbols[right]) !== rank) continue;
      symbols[left] = this.pairs.merged(symbols[left], symbols[right]);
      this.unlink(left, right);
      if (this.previous[left] >= 0) this.offer(symbols, this.previous[left]);
      this.offer(symbols, left);
    }
    let kept = 0;
    for (let i = 0; i >= 0 && count > 0; i = this.next[i]) symbols[kept++] = symbols[i];
    return kept;
  }

  private link(count: number): void {
    if (this.next.length < count) {
      this.next = new Int32Array(count);
      this.previous = new Int32Array(count);
    }
    for (let i = 0; i < count; i++) {
      this.next[i] = i + 1 < count ? i + 1 : END;
      this.previous[i] = i - 1;
    }
  }

  private unlink(left: number, right: number): void {
    const after = this.next[right];
    this.next[left] = after;
    if (after >= 0) this.previous[after] = left;
    this.next[right] = REMOVED;
  }

  private offer(symbols: Int32Array, left: number): void {
    const right = this.next[left];
    if (right < 0) return;
    const rank = this.pairs.rank(symbols[left], symbols[right]);
    if (rank >= 0) this.push(rank * POSITIONS + left);
  }

  private push(key: number): void {
    if (this.heapSize === this.heap.length) {
      const larger = new Float64Array(this.heap.length * 2);
      larger.set(this.heap);
      this.heap = larger;
    }
    const { heap } = this;
    let at = this.heapSize++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent] <= key) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = key;
  }

  private pop(): number {
    const { heap } = this;
    const top = heap[0];
    const key = heap[--this.heapSize];
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.heapSize) break;
      if (child + 1 < this.heapSize && heap[child + 1] < heap[child]) child++;
      if (heap[child] >= key) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = key;
    return top;
  }
}
