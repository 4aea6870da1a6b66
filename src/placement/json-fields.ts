// Reading JSON with a sentence for each mistake, so that a person can mend all of them at once.

export interface NumberRule {
  readonly least: number;
  readonly most: number;
  readonly whole?: boolean;
  readonly powerOfTwo?: boolean;
  /** "seconds" */
  readonly unit?: string;
}

/** An object of a JSON text. What is missing or wrong is noted down; something harmless stands in for it. */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #asked = new Set<string>();

  /** @param path of the object in the text: "device.", "" for the whole */
  constructor(
    value: unknown,
    private readonly path = '',
    /** Of the whole text. */
    readonly mistakes: string[] = [],
  ) {
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (!isObject)
      this.mistake(`${path.replace(/\.$/, '') || 'the text'}: expected an object, got ${described(value)}`);
    this.#values = isObject ? (value as Record<string, unknown>) : {};
  }

  at(name: string): string {
    return `${this.path}${name}`;
  }

  mistake(sentence: string): void {
    this.mistakes.push(sentence);
  }

  names(): string[] {
    return Object.keys(this.#values);
  }

  isNull(name: string): boolean {
    this.#asked.add(name);
    return this.#values[name] === null;
  }

  text(name: string): string {
    return this.#take(name, 'a text', '', (value) => typeof value === 'string' && value !== '');
  }

  nullableText(name: string): string | null {
    return this.isNull(name) ? null : this.text(name);
  }

  texts(name: string): string[] {
    const isTexts = (value: unknown) => Array.isArray(value) && value.every((item) => typeof item === 'string');
    return this.#take(name, 'a list of texts', [], isTexts);
  }

  flag(name: string): boolean {
    return this.#take(name, 'true or false', false, (value) => typeof value === 'boolean');
  }

  choice<Choice extends string>(name: string, choices: readonly Choice[]): Choice {
    const isOne = (value: unknown) => choices.some((choice) => choice === value);
    return this.#take(name, `one of ${choices.join(', ')}`, choices[0], isOne);
  }

  optionalChoice<Choice extends string>(name: string, choices: readonly Choice[]): Choice | undefined {
    return this.#values[name] === undefined ? undefined : this.choice(name, choices);
  }

  number(name: string, { least, most, whole = false, powerOfTwo = false, unit }: NumberRule): number {
    const kind = powerOfTwo ? 'a power of two' : whole ? 'a whole number' : 'a number';
    const expected = `${kind}${unit === undefined ? '' : ` of ${unit}`} from ${least} to ${most}`;
    return this.#take(name, expected, least, (value) => {
      if (typeof value !== 'number' || !(value >= least && value <= most)) return false;
      return (!whole || Number.isInteger(value)) && (!powerOfTwo || Number.isInteger(Math.log2(value)));
    });
  }

  nullableNumber(name: string, rule: NumberRule): number | null {
    return this.isNull(name) ? null : this.number(name, rule);
  }

  part(name: string): Fields {
    this.#asked.add(name);
    return new Fields(this.#values[name], `${this.path}${name}.`, this.mistakes);
  }

  nullablePart<T>(name: string, read: (fields: Fields) => T): T | null {
    return this.isNull(name) ? null : read(this.part(name));
  }

  parts(name: string): Fields[] {
    const items: unknown[] = this.#take(name, 'a list of objects', [], Array.isArray);
    return items.map((item, i) => new Fields(item, `${this.path}${name}[${i}].`, this.mistakes));
  }

  optionalParts(name: string): Fields[] {
    return this.#values[name] === undefined ? [] : this.parts(name);
  }

  ascending<T>(name: string, items: readonly T[], key: (item: T) => number): void {
    if (items.every((item, i) => i === 0 || key(item) > key(items[i - 1]))) return;
    this.mistake(`${this.at(name)}: expected ascending entries, got ${items.map(key).join(', ')}`);
  }

  /** Notes what was never asked for: a misspelt name would pass for a missing one otherwise. */
  done(): void {
    for (const name of this.names()) {
      if (!this.#asked.has(name)) this.mistake(`${this.at(name)}: there is no such field`);
    }
  }

  #take<T>(name: string, expected: string, otherwise: T, isRight: (value: unknown) => boolean): T {
    this.#asked.add(name);
    const value = this.#values[name];
    if (isRight(value)) return value as T;
    this.mistake(`${this.at(name)}: expected ${expected}, got ${described(value)}`);
    return otherwise;
  }
}

function described(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length <= 40 ? text : `${text.slice(0, 37)}...`;
}
