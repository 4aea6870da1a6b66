import { table, wrapped } from './output.js';

/** One thing that `ntx doctor` or `ntx nvme status` looked at. */
export interface Finding {
  readonly name: string;
  /** ok; missing: something would be better or run at all with it; note: worth knowing. */
  readonly state: 'ok' | 'missing' | 'note';
  readonly found: string;
  /** What mends it: a command where there is one. */
  readonly advice?: string;
}

const MARKS = { ok: 'ok', missing: '--', note: '..' };

/** A row a finding, then what mends those that are not ok. `columns`: where lines are broken; null: nowhere. */
export function findingsText(findings: readonly Finding[], columns: number | null): string {
  const indent = 6 + Math.max(...findings.map(({ name }) => name.length));
  const rows = findings.map(({ name, state, found }) => [MARKS[state], name, wrapped(found, columns, indent)]);
  const advised = findings.filter(({ state, advice }) => state !== 'ok' && advice !== undefined);
  const advice = advised.map(({ name, advice }) => wrapped(`${name}: ${advice}`, columns, 2));
  return `${table(rows)}\n${advice.length > 0 ? `To mend:\n${advice.join('\n')}\n` : 'Nothing is missing.\n'}`;
}
