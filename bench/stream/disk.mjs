// What drives carry with nothing beside it, in turns with the passes that are measured: a drive that others use as well, or that
// is virtual, has another rate every few seconds, and the best fifth of a second of it says little.
import { openReader } from '../../dist/streaming/open-reader.js';
import { StreamRecorder } from '../../dist/streaming/stream-recorder.js';

/** Depths and block sizes that the file reader is tried with. */
const WAYS = [
  { depth: 16, maxBytes: 2 ** 19 },
  { depth: 32, maxBytes: 2 ** 18 },
  { depth: 8, maxBytes: 2 ** 20 },
  { depth: 32, maxBytes: 2 ** 19 },
];
/**
 * Reads that wait, more than any way has at the drive at a time, so that it has the next one whenever this thread runs late. What
 * comes is not looked at: two go to one memory. There is as much of it as no core's cache holds, like staging: what is written to
 * the same few megabytes again and again comes faster.
 */
const LANES = 24;
const MEMORIES = 12;
const LANE_BYTES = 4 << 20;

/** Without a read for so long, and for so many times the longest one, a streamer has read ahead as far as it has room. */
const QUIET = { seconds: 0.3, reads: 2 };

/** Knows as well when reads have ended: after a pass a streamer reads on, into staging. */
export class ReadsRecorder extends StreamRecorder {
  #ended = 0;
  #longest = 0;

  read(transfer, began, ended) {
    super.read(transfer, began, ended);
    this.#ended = ended;
    this.#longest = Math.max(this.#longest, ended - began);
  }

  /** Until nothing is read any more; one that has begun is not seen before it ends. */
  async quiet() {
    const since = performance.now();
    for (;;) {
      const enough = Math.max(1000 * QUIET.seconds, QUIET.reads * this.#longest);
      const left = Math.max(since, this.#ended) + enough - performance.now();
      if (left <= 0) return;
      await new Promise((resolve) => setTimeout(resolve, left));
    }
  }
}

/** Reads what the disk transfers of a pass read, in their order and round and round, by each way for a part of the time. */
export class DiskPeak {
  #ways;
  #memories;
  #pieces;
  #next = 0;

  /** `extents`: of a pass. Its memory (48 MiB) is allocated here. */
  static async open(backend, files, extents) {
    const peak = new DiskPeak();
    peak.#pieces = extents.flatMap(cut);
    peak.#memories = Array.from({ length: MEMORIES }, (_, i) => backend.allocateHost(LANE_BYTES, `memory ${i}`));
    peak.#ways = [];
    for (const way of WAYS) {
      const reader = await openReader(files, way);
      reader.attach?.(peak.#memories.map((memory) => ({ memory, offset: 0, bytes: memory.bytes })));
      peak.#ways.push({ reader, turns: [] });
    }
    return peak;
  }

  /** All ways in turn, which one first in turn as well; what it says comes later, of all measurements. */
  async measure(seconds) {
    for (const way of this.#ways) {
      const started = performance.now();
      const over = () => performance.now() - started > (1000 * seconds) / this.#ways.length;
      let bytes = 0;
      const lane = async (memory) => {
        while (!over()) {
          const piece = this.#pieces[this.#next++ % this.#pieces.length];
          await way.reader.read({ ...piece, memory, at: 0 });
          bytes += piece.bytes;
        }
      };
      await Promise.all(Array.from({ length: LANES }, (_, i) => lane(this.#memories[i % MEMORIES])));
      way.turns.push({ bytes, seconds: (performance.now() - started) / 1000 });
    }
    this.#ways.push(this.#ways.shift());
  }

  /** Bytes a second of each way, over all measurements, the best first. */
  rates() {
    return this.#ways
      .map(({ reader, turns }) => ({ name: reader.name, rate: rateOf(turns) }))
      .toSorted((a, b) => b.rate - a.rate);
  }

  /** Bytes a second in each measurement, by the way that was the best over all of them: the best of each would flatter it. */
  bestTurns() {
    const [{ turns }] = this.#ways.toSorted((a, b) => rateOf(b.turns) - rateOf(a.turns));
    return turns.map((turn) => rateOf([turn]));
  }

  async close() {
    for (const { reader } of this.#ways) await reader.close();
    for (const memory of this.#memories) memory.free();
  }
}

function rateOf(turns) {
  const sum = (key) => turns.reduce((total, turn) => total + turn[key], 0);
  return sum('bytes') / sum('seconds');
}

function cut({ file, offset, bytes }) {
  const count = Math.ceil(bytes / LANE_BYTES);
  return Array.from({ length: count }, (_, i) => {
    const at = i * LANE_BYTES;
    return { file, offset: offset + at, bytes: Math.min(LANE_BYTES, bytes - at) };
  });
}
