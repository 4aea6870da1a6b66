/** One thing that `ntx doctor` looked at. */
export interface Finding {
  readonly name: string;
  /** ok; missing: something would be better or run at all with it; note: worth knowing. */
  readonly state: 'ok' | 'missing' | 'note';
  readonly found: string;
  /** What mends it: a command where there is one. */
  readonly advice?: string;
}
