// The request in memory; src/placement/request.ts says what each number means. Per-unit tables are flat: [unit][class].

/** Limits that keep a malformed request from asking for much memory or time. */
export const MAX_UNITS: i32 = 8200;
export const MAX_CLASSES: i32 = 8;
export const MAX_DRIVES: i32 = 8;
export const MAX_FILES: i32 = 65536;
export const MAX_RANGES: i32 = 1 << 18;
export const MAX_READS: i32 = 1 << 20;
export const MAX_POINTS: i32 = 256;
export const MAX_RING: i32 = 64;

/** Placements of one kind, to say what they would come to. */
export const FREE: i32 = 0;
/** The CPU computes nothing. */
export const STREAM_ALL: i32 = 1;
/** In the class of most weight nothing is copied out of RAM that the CPU can compute. */
export const COMPUTE_ALL: i32 = 2;
/** As many first units as fit are resident, the others are streamed. */
export const FIRST_LAYERS: i32 = 3;
export const KINDS: i32 = 4;

export class Request {
  units: i32 = 0;
  classes: i32 = 0;
  drives: i32 = 0;
  files: i32 = 0;
  points: i32 = 0;
  ranges: i32 = 0;

  kind: i32 = FREE;
  /** False where the host is the device. */
  hasDevice: bool = false;
  overlaps: bool = false;
  /** False: a unit that the CPU computes is computed by it in every class. */
  sharesPages: bool = false;
  /** 0: the planner chooses. */
  fixedSlots: i32 = 0;
  fixedStaging: i32 = 0;

  /** Bytes that are left for units, slots and staging. */
  deviceBytes: f64 = 0;
  hostBytes: f64 = 0;
  copySeconds: f64 = 0;
  memoryTotal: f64 = 1;
  cpuBesideLink: f64 = 1;
  linkBesideCpu: f64 = 1;

  pieceBytes: StaticArray<f64> = [];
  pieceRate: StaticArray<f64> = [];

  weight: StaticArray<f64> = [];
  overhead: StaticArray<f64> = [];
  handOver: StaticArray<f64> = [];

  driveRate: StaticArray<f64> = [];
  driveRequest: StaticArray<f64> = [];
  driveLatency: StaticArray<f64> = [];
  driveDepth: StaticArray<f64> = [];
  driveAlignment: StaticArray<f64> = [];
  driveMax: StaticArray<f64> = [];

  fileBytes: StaticArray<f64> = [];
  fileDrive: StaticArray<i32> = [];

  unitBytes: StaticArray<f64> = [];
  /** Ranges of unit u: firstRange[u] <= r < firstRange[u + 1]. */
  firstRange: StaticArray<i32> = [];
  rangeFile: StaticArray<i32> = [];
  rangeOffset: StaticArray<f64> = [];
  rangeBytes: StaticArray<f64> = [];

  device: StaticArray<f64> = [];
  /** Below 0: the CPU cannot. */
  cpu: StaticArray<f64> = [];
  beside: StaticArray<f64> = [];

  /** A code (cost.ts) for each unit, whose passes are simulated: nothing is chosen then. Empty: the placement is chosen. */
  given: StaticArray<i32> = [];
}
