import type { Output } from '../backend/outputs.js';
import { MOST_RECENT, type Sampling } from '../backend/sampling.js';
import type { SamplerOptions } from './options.js';
import { seededRandom } from './random.js';

export interface Choice {
  readonly token: number;
  /** ln of the model's own probability, before penalties and truncation. */
  readonly logProbability: number;
}

interface Candidate {
  readonly token: number;
  readonly original: number;
  logit: number;
}

/** Chooses among an output's candidates: penalties, top-k, top-p, min-p, temperature, draw. */
export class Sampler {
  private readonly random: () => number;
  /** What the next draw is made with. */
  private upcoming: number;

  constructor(private readonly options: SamplerOptions) {
    this.random = seededRandom(options.seed);
    this.upcoming = this.random();
  }

  /** How a device chooses what choose() will, with the same history; null where that is more than it looks at. */
  sampling(history: readonly number[]): Sampling | null {
    const recent = this.recent(history);
    return recent.size > MOST_RECENT ? null : { ...this.options, random: this.upcoming, recent };
  }

  /** `history`: the tokens so far, prompt included, that penalties look back on. */
  choose(output: Output, history: readonly number[]): Choice {
    const candidates = this.penalised(output, history);
    const chosen = this.options.temperature === 0 ? candidates[0] : this.draw(candidates);
    return { token: chosen.token, logProbability: chosen.original - output.logSumExp };
  }

  /** Candidates by descending logit after penalties; ties keep the output's order. */
  private penalised(output: Output, history: readonly number[]): Candidate[] {
    const { repeatPenalty, frequencyPenalty, presencePenalty } = this.options;
    const candidates = Array.from(output.tokens, (token, i): Candidate => {
      return { token, original: output.logits[i], logit: output.logits[i] };
    });
    const counts = this.recent(history);
    if (counts.size === 0) return candidates;
    for (const candidate of candidates) {
      const count = counts.get(candidate.token);
      if (count === undefined) continue;
      const { logit } = candidate;
      candidate.logit =
        (logit > 0 ? logit / repeatPenalty : logit * repeatPenalty) - count * frequencyPenalty - presencePenalty;
    }
    return candidates.sort((a, b) => b.logit - a.logit);
  }

  /** How often tokens were seen lately; none, where no penalty asks for it. */
  private recent(history: readonly number[]): Map<number, number> {
    const { repeatPenalty, frequencyPenalty, presencePenalty, repeatLastN } = this.options;
    const counts = new Map<number, number>();
    const off = repeatPenalty === 1 && frequencyPenalty === 0 && presencePenalty === 0;
    if (off || repeatLastN === 0) return counts;
    const recent = repeatLastN < 0 ? history : history.slice(-repeatLastN);
    for (const token of recent) counts.set(token, (counts.get(token) ?? 0) + 1);
    return counts;
  }

  private draw(sorted: readonly Candidate[]): Candidate {
    const kept = this.truncated(sorted);
    const { temperature } = this.options;
    const best = kept[0].logit;
    const weights = kept.map(({ logit }) => Math.exp((logit - best) / temperature));
    let left = this.upcoming * weights.reduce((sum, weight) => sum + weight, 0);
    this.upcoming = this.random();
    for (let i = 0; i < kept.length; i++) {
      left -= weights[i];
      if (left < 0) return kept[i];
    }
    return kept[0];
  }

  /** Top-k, then top-p, then min-p, each on the probabilities at temperature 1. At least one candidate stays. */
  private truncated(sorted: readonly Candidate[]): readonly Candidate[] {
    const { topK, topP, minP } = this.options;
    const kept = topK > 0 ? sorted.slice(0, topK) : sorted;
    const weights = kept.map(({ logit }) => Math.exp(logit - kept[0].logit));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let count = 0;
    for (let mass = 0; count < kept.length; count++) {
      if (count > 0 && (mass >= topP * total || weights[count] < minP)) break;
      mass += weights[count];
    }
    return kept.slice(0, count);
  }
}
