// A schedule with the simulation of its passes.
import { DISK } from './cost';
import { Schedule } from './schedule';
import { Simulation, simulate } from './simulate';

export class Planned {
  readonly passes: Simulation[] = [];
  /** Weighted seconds of the simulated passes. */
  seconds: f64 = 0;

  constructor(readonly schedule: Schedule) {
    const problem = schedule.choice.problem;
    for (let class_ = 0; class_ < problem.classes; class_++) {
      const pass = simulate(problem.costs.request, schedule, class_);
      this.passes.push(pass);
      this.seconds += problem.weight[class_] * pass.seconds;
    }
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
