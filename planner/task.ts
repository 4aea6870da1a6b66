// What a simulated resource is at work on, and how long a ring's buffers are in use.
/** Shorter work moves its bytes at once: a rate of bytes would not be finite. */
const INSTANT: f64 = 1e-12;

/** Something that a resource is at work on: seconds of work that are left, done at `speed` a second. */
export class Task {
  active: bool = false;
  left: f64 = 0;
  speed: f64 = 1;
  begin: f64 = 0;
  end: f64 = 0;
  unit: i32 = -1;
  /** Bytes of host memory that a second of its work moves. */
  traffic: f64 = 0;
  /** When the pass before ended: pieces of work done by then, ahead of the pass's own, and seconds left of the one under way. */
  private doneBefore: i32 = 0;
  private leftBefore: f64 = 0;

  start(unit: i32, seconds: f64, bytes: f64, now: f64): void {
    this.active = true;
    this.unit = unit;
    this.left = seconds;
    this.begin = now;
    this.traffic = seconds > INSTANT ? bytes / seconds : 0;
  }

  /** At the end of each pass. Whether it is as far ahead as at the end of the one before, but for so many seconds of work. */
  settles(done: i32, tolerance: f64): bool {
    const left = this.active ? this.left : 0;
    const settled = done === this.doneBefore && Math.abs(left - this.leftBefore) <= tolerance;
    this.doneBefore = done;
    this.leftBefore = left;
    return settled;
  }
}

/** For each use of a ring, how many uses before it the same buffer was used last; the uses repeat endlessly. */
export function reaches(buffers: i32[]): StaticArray<i32> {
  const count = buffers.length;
  const reach = new StaticArray<i32>(count);
  let most = -1;
  for (let i = 0; i < count; i++) most = max(most, buffers[i]);
  const last = new StaticArray<i32>(most + 1);
  last.fill(-1);
  for (let turn = 0; turn < 2; turn++) {
    for (let i = 0; i < count; i++) {
      const buffer = buffers[i];
      const at = turn * count + i;
      reach[i] = buffer < 0 || last[buffer] < 0 ? count : at - last[buffer];
      if (buffer >= 0) last[buffer] = at;
    }
  }
  return reach;
}
