// A linear program that grows: mixtures of whole placements, whose mean must keep the budgets and whose weighted largest rows
// are to be least. Its dual prices are the best that relax.ts can have. Revised simplex with an explicit inverse: there are
// few rows (two budgets, a few rows of seconds for each class, "the mixture adds up to one"), and columns come one by one.

/** What counts as nothing in scaled numbers. */
const NOTHING: f64 = 1e-10;
/** Price of exceeding a budget, against an objective that is scaled to about 1. */
const EXCESS_COST: f64 = 1e4;

export class Master {
  /** Prices of the rows; the last is the price of one placement. */
  readonly dual: StaticArray<f64>;
  private readonly inverse: StaticArray<f64>;
  private readonly value: StaticArray<f64>;
  private readonly basis: StaticArray<i32>;
  private readonly entering: StaticArray<f64>;
  /** Columns one after another, each of `rows` numbers; their costs; and whether each is in the basis. */
  private readonly column: StaticArray<f64>;
  private readonly cost: StaticArray<f64>;
  private readonly basic: StaticArray<u8>;
  private columns: i32 = 0;

  /** `limit`: placements that may be added. */
  constructor(
    readonly rows: i32,
    limit: i32,
  ) {
    // Besides placements: a slack for each row, a period for each class, an excess for each budget.
    const most = limit + 3 * rows;
    this.dual = new StaticArray<f64>(rows);
    this.inverse = new StaticArray<f64>(rows * rows);
    this.value = new StaticArray<f64>(rows);
    this.basis = new StaticArray<i32>(rows);
    this.entering = new StaticArray<f64>(rows);
    this.column = new StaticArray<f64>(most * rows);
    this.cost = new StaticArray<f64>(most);
    this.basic = new StaticArray<u8>(most);
  }

  /** Adds a column of zeros. */
  add(cost: f64): i32 {
    this.cost[this.columns] = cost;
    return this.columns++;
  }

  set(column: i32, row: i32, value: f64): void {
    this.column[column * this.rows + row] = value;
  }

  addExcess(row: i32): i32 {
    const column = this.add(EXCESS_COST);
    this.set(column, row, -1);
    return column;
  }

  /**
   * Begins with `columns`, one for each row, as the basis, which must be feasible for `right`. `inverse` is computed by
   * elimination with row exchanges; false when the columns are not independent.
   */
  begin(columns: StaticArray<i32>, right: StaticArray<f64>): bool {
    const rows = this.rows;
    const work = new StaticArray<f64>(rows * rows);
    for (let i = 0; i < rows; i++) {
      this.basis[i] = columns[i];
      this.basic[columns[i]] = 1;
      for (let row = 0; row < rows; row++) work[row * rows + i] = this.column[columns[i] * rows + row];
      for (let j = 0; j < rows; j++) this.inverse[i * rows + j] = i === j ? 1 : 0;
    }
    for (let at = 0; at < rows; at++) {
      let pivot = at;
      for (let row = at + 1; row < rows; row++) {
        if (Math.abs(work[row * rows + at]) > Math.abs(work[pivot * rows + at])) pivot = row;
      }
      if (Math.abs(work[pivot * rows + at]) < NOTHING) return false;
      for (let j = 0; j < rows; j++) {
        swap(work, at * rows + j, pivot * rows + j);
        swap(this.inverse, at * rows + j, pivot * rows + j);
      }
      eliminate(work, this.inverse, at, rows);
    }
    for (let i = 0; i < rows; i++) {
      let sum: f64 = 0;
      for (let j = 0; j < rows; j++) sum += this.inverse[i * rows + j] * right[j];
      this.value[i] = Math.max(0, sum);
    }
    return true;
  }

  /** Pivots until no column that is known makes the objective less, at most `limit` times; sets `dual`. */
  solve(limit: i32): void {
    for (let pivot = 0; pivot < limit; pivot++) {
      this.price();
      const column = this.cheapest();
      if (column < 0 || !this.enter(column)) return;
    }
    this.price();
  }

  /** How much of a column the solution has. */
  amount(column: i32): f64 {
    for (let i = 0; i < this.rows; i++) if (this.basis[i] === column) return this.value[i];
    return 0;
  }

  private price(): void {
    const rows = this.rows;
    for (let j = 0; j < rows; j++) {
      let sum: f64 = 0;
      for (let i = 0; i < rows; i++) sum += unchecked(this.cost[this.basis[i]] * this.inverse[i * rows + j]);
      this.dual[j] = sum;
    }
  }

  /** The column that gains most for each unit of it; -1: none gains. */
  private cheapest(): i32 {
    const rows = this.rows;
    let best = -1;
    let least: f64 = -NOTHING;
    for (let column = 0; column < this.columns; column++) {
      if (this.basic[column] !== 0) continue;
      let reduced = this.cost[column];
      for (let row = 0; row < rows; row++) reduced -= unchecked(this.dual[row] * this.column[column * rows + row]);
      if (reduced < least) {
        least = reduced;
        best = column;
      }
    }
    return best;
  }

  /** Brings a column into the basis; false when nothing holds it back, which the program's bounds exclude. */
  private enter(column: i32): bool {
    const rows = this.rows;
    let leaving = -1;
    let step: f64 = Infinity;
    for (let i = 0; i < rows; i++) {
      let sum: f64 = 0;
      for (let j = 0; j < rows; j++) sum += unchecked(this.inverse[i * rows + j] * this.column[column * rows + j]);
      this.entering[i] = sum;
      if (sum <= NOTHING) continue;
      const ratio = this.value[i] / sum;
      if (ratio < step - NOTHING || (ratio < step + NOTHING && (leaving < 0 || sum > this.entering[leaving]))) {
        step = Math.min(step, ratio);
        leaving = i;
      }
    }
    if (leaving < 0) return false;
    for (let i = 0; i < rows; i++) this.value[i] = Math.max(0, this.value[i] - step * this.entering[i]);
    this.value[leaving] = step;
    const scale = 1 / this.entering[leaving];
    for (let j = 0; j < rows; j++) this.inverse[leaving * rows + j] *= scale;
    for (let i = 0; i < rows; i++) {
      const factor = this.entering[i];
      if (i === leaving || factor === 0) continue;
      for (let j = 0; j < rows; j++) {
        unchecked((this.inverse[i * rows + j] -= factor * this.inverse[leaving * rows + j]));
      }
    }
    this.basic[this.basis[leaving]] = 0;
    this.basic[column] = 1;
    this.basis[leaving] = column;
    return true;
  }
}

function swap(numbers: StaticArray<f64>, a: i32, b: i32): void {
  const kept = numbers[a];
  numbers[a] = numbers[b];
  numbers[b] = kept;
}

/** One step of Gauss and Jordan: column `at` of `work` becomes that of the identity; `inverse` follows. */
function eliminate(work: StaticArray<f64>, inverse: StaticArray<f64>, at: i32, rows: i32): void {
  const scale = 1 / work[at * rows + at];
  for (let j = 0; j < rows; j++) {
    work[at * rows + j] *= scale;
    inverse[at * rows + j] *= scale;
  }
  for (let row = 0; row < rows; row++) {
    const factor = work[row * rows + at];
    if (row === at || factor === 0) continue;
    for (let j = 0; j < rows; j++) {
      work[row * rows + j] -= factor * work[at * rows + j];
      inverse[row * rows + j] -= factor * inverse[at * rows + j];
    }
  }
}
