export interface Table {
  readonly command: string;
  readonly heads: readonly string[];
  rows(): string[][];
}

export const TABLES: Readonly<Record<string, Table>>;
