// A schedule with the simulation of its passes.
import { DISK } from './cost';
import { Schedule } from './schedule';
import { Simulation, simulate } from './simulate';

export class Planned {
  /** Seconds of the simulated pass of each class. */
  readonly passes: StaticArray<f64>;
  /** Their weighted sum; Infinity where it is beyond the limit. */
  seconds: f64 = 0;

  /** `limit`: what is slower is of no use, and not simulated to its end. */
  constructor(
    readonly schedule: Schedule,
    limit: f64,
  ) {
    const problem = schedule.choice.problem;
    this.passes = new StaticArray<f64>(problem.classes);
    // Classes that are yet to be simulated take about their steady state.
    let rest = schedule.choice.seconds;
    for (let i = 0; i < problem.classes; i++) {
      // The class of most weight says most, and comes first.
      const class_ = i === 0 ? problem.wanted : i <= problem.wanted ? i - 1 : i;
      const seconds = simulate(problem.costs.request, schedule, class_, false).seconds;
      this.passes[class_] = seconds;
      this.seconds += problem.weight[class_] * seconds;
      rest -= problem.weight[class_] * schedule.choice.period(class_);
      if (this.seconds + rest <= limit) continue;
      this.seconds = Infinity;
      break;
    }
  }

  /** The pass of a class, with its events. */
  pass(class_: i32): Simulation {
    return simulate(this.schedule.choice.problem.costs.request, this.schedule, class_, true);
  }

  get steadyState(): f64 {
    return this.schedule.choice.seconds;
  }

  /** Whether the rings fit with what they really take. */
  get fits(): bool {
    const problem = this.schedule.choice.problem;
    const device = this.schedule.unitBytes(true);
    const host = this.schedule.unitBytes(false) + this.schedule.stagingBytes;
    if (!problem.costs.hasDevice) return device + host <= problem.costs.request.hostBytes;
    const request = problem.costs.request;
    return device + this.schedule.slotBytes <= request.deviceBytes && host <= request.hostBytes;
  }

  usesDisk(): bool {
    for (let unit = 0; unit < this.schedule.codes.length; unit++) if (this.schedule.codes[unit] === DISK) return true;
    return false;
  }
}
