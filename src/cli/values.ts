// Values of options, as numbers. Ranges that a library function checks itself are not checked here again.
import { NtxError } from '../errors.js';

/** A parser for commander: a finite number. */
export function numberValue(flag: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value)) throw badValue(flag, 'a number', text);
    return value;
  };
}

/** A parser for commander: a whole number from `low` to `high`. */
export function wholeValue(flag: string, low: number, high = 2 ** 31 - 1): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < low || value > high) {
      throw badValue(flag, `a whole number from ${low} to ${high}`, text);
    }
    return value;
  };
}

/** A parser for commander: one of `choices`. */
export function choiceValue<Choice extends string>(flag: string, choices: readonly Choice[]): (text: string) => Choice {
  return (text) => {
    const found = choices.find((choice) => choice === text);
    if (found === undefined) throw badValue(flag, `one of ${choices.join(', ')}`, text);
    return found;
  };
}

/** A parser for commander: an option that may be given several times. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

function badValue(flag: string, expected: string, received: string): NtxError {
  return new NtxError('bad-argument', `${flag}: expected ${expected}, got "${received}"`, 'give another value');
}
