// The last touch to an arrangement: where the simulated chain waits longest for a copy, that copy comes too soon after others.
// Its unit then exchanges its code with the next equal unit that does not stream, if the simulation is faster for it.
import { modeOf, ON_CPU, ON_DEVICE } from './cost';
import { Planned } from './planned';
import { Schedule } from './schedule';
import { COMPUTE, CPU_BUSY, Simulation } from './simulate';

/** Simulated exchanges. */
const TRIES: i32 = 16;
/** There is little to gain this close to the steady state. */
const CLOSE: f64 = 0.0005;

/** The faster of the plan and what exchanges make of it; budgets and sums stay as they are. */
export function refine(planned: Planned): Planned {
  let best = planned;
  let class_ = heaviest(best);
  let pass = best.pass(class_);
  const tried = new StaticArray<bool>(planned.schedule.codes.length);
  for (let i = 0; i < TRIES; i++) {
    if (best.seconds <= best.steadyState * (1 + CLOSE)) break;
    const late = latest(best, pass, class_, tried);
    if (late < 0) break;
    tried[late] = true;
    const other = nextStill(best, class_, late);
    if (other < 0) continue;
    const codes = best.schedule.codes.slice<StaticArray<i32>>();
    const code = codes[late];
    codes[late] = codes[other];
    codes[other] = code;
    const changed = new Planned(new Schedule(best.schedule.choice, codes, best.schedule.reads), best.seconds);
    if (changed.seconds < best.seconds && changed.fits) {
      best = changed;
      class_ = heaviest(best);
      pass = best.pass(class_);
      tried.fill(false);
    }
  }
  return best;
}

/** The class that loses most against its steady state. */
function heaviest(planned: Planned): i32 {
  const problem = planned.schedule.choice.problem;
  let most = 0;
  let loss: f64 = -Infinity;
  for (let class_ = 0; class_ < problem.classes; class_++) {
    const lost = problem.weight[class_] * (planned.passes[class_] - planned.schedule.choice.period(class_));
    if (lost <= loss) continue;
    most = class_;
    loss = lost;
  }
  return most;
}

/** The streamed unit that the chain waits for longest, of those not tried; -1: it waits for none. */
function latest(planned: Planned, pass: Simulation, class_: i32, tried: StaticArray<bool>): i32 {
  const events = pass.events;
  let late = -1;
  let most = 1e-3 * pass.seconds;
  let ready: f64 = 0;
  for (let i = 0; i < events.length; i++) {
    const event = events[i];
    if (event.resource !== COMPUTE && event.resource !== CPU_BUSY) continue;
    const wait = event.begin - ready;
    ready = event.end;
    if (event.unit < 0 || wait <= most || tried[event.unit]) continue;
    const mode = modeOf(planned.schedule.codes[event.unit], class_);
    if (mode === ON_DEVICE || mode === ON_CPU) continue;
    most = wait;
    late = event.unit;
  }
  return late;
}

/** The next unit of the same group, round the end of the pass, that does not stream in this class; -1: there is none. */
function nextStill(planned: Planned, class_: i32, unit: i32): i32 {
  const groups = planned.schedule.choice.problem.groups;
  const units = planned.schedule.codes.length;
  for (let step = 1; step < units; step++) {
    const other = (unit + step) % units;
    if (groups.group[other] !== groups.group[unit]) continue;
    const mode = modeOf(planned.schedule.codes[other], class_);
    if (mode === ON_DEVICE || mode === ON_CPU) return other;
  }
  return -1;
}
