import { describe, expect, test } from 'vitest';
import { PlainDialogue, TurnDialogue } from '../../src/cli/dialogue.js';
import { NtxError } from '../../src/errors.js';

/** One token a character, so that tokens can be read; BOS is 0. */
const encode = (text: string) => [0, ...Array.from(text, (character) => character.codePointAt(0)!)];
const decode = (tokens: readonly number[]) => String.fromCodePoint(...tokens.slice(1));

describe('turns', () => {
  const turns = (system?: string) =>
    new TurnDialogue(system, (messages) =>
      encode(messages.map(({ role, content }) => `${role[0]}:${content};`).join('')),
    );
  const say = (dialogue: TurnDialogue, text: string, limit = 1000) => {
    const { tokens, dropped } = dialogue.say(text, limit);
    return [decode(tokens), dropped];
  };

  test('grow by what was said and heard, after the system message', () => {
    const dialogue = turns('S');
    expect(say(dialogue, 'a')).toEqual(['s:S;u:a;', 0]);
    dialogue.hear('b');
    expect(say(dialogue, 'c')).toEqual(['s:S;u:a;a:b;u:c;', 0]);
    dialogue.reset();
    expect(say(dialogue, 'd')).toEqual(['s:S;u:d;', 0]);
    expect(say(turns(), 'a')).toEqual(['u:a;', 0]);
  });

  test('the oldest go, in pairs, when they do not fit; the system message stays', () => {
    const dialogue = turns('S');
    for (const [said, heard] of ['ab', 'cd', 'ef']) {
      dialogue.say(said, 1000);
      dialogue.hear(heard);
    }
    // BOS, s:S;, three pairs and the new turn are 1 + 4 + 24 + 4.
    expect(say(dialogue, 'g', 33)).toEqual(['s:S;u:a;a:b;u:c;a:d;u:e;a:f;u:g;', 0]);
    dialogue.hear('h');
    expect(say(dialogue, 'i', 33)).toEqual(['s:S;u:c;a:d;u:e;a:f;u:g;a:h;u:i;', 2]);
    dialogue.hear('j');
    expect(say(dialogue, 'k', 10)).toEqual(['s:S;u:k;', 8]);
  });

  test('one that never fits is refused and forgotten', () => {
    const dialogue = turns('S');
    dialogue.say('a', 1000);
    dialogue.hear('b');
    expect(() => dialogue.say('x'.repeat(50), 40)).toThrow(NtxError);
    expect(say(dialogue, 'c')).toEqual(['s:S;u:a;a:b;u:c;', 0]);
  });
});

describe('a plain text', () => {
  const say = (dialogue: PlainDialogue, text: string, limit = 1000) => {
    const { tokens, dropped } = dialogue.say(text, limit);
    return [decode(tokens), dropped];
  };

  test('is continued by both, with a space between words', () => {
    const dialogue = new PlainDialogue(encode);
    expect(say(dialogue, 'Once upon')).toEqual(['Once upon', 0]);
    dialogue.hear(' a time');
    expect(say(dialogue, 'there was')).toEqual(['Once upon a time there was', 0]);
    dialogue.hear(' a fox');
    expect(say(dialogue, ', red and')).toEqual(['Once upon a time there was a fox, red and', 0]);
    expect(say(dialogue, '')).toEqual(['Once upon a time there was a fox, red and', 0]);
    dialogue.hear(' clever.\n\n');
    expect(say(dialogue, 'It')).toEqual(['Once upon a time there was a fox, red and clever.\n\nIt', 0]);
    dialogue.reset();
    expect(say(dialogue, 'New')).toEqual(['New', 0]);
  });

  test('keeps its newest half, from the beginning of a word, when it does not fit', () => {
    const dialogue = new PlainDialogue(encode);
    dialogue.say('one two three four five six', 1000);
    const [text, dropped] = say(dialogue, 'seven', 24);
    expect(text).toBe('six seven'); // at most 12 tokens with BOS
    expect(dropped).toBe('one two three four five '.length);
    expect(say(dialogue, 'eight')).toEqual(['six seven eight', 0]);
  });

  test('needs a beginning, and room for what is said', () => {
    const nothing = new PlainDialogue(() => []);
    expect(() => nothing.say('', 100)).toThrow('there is no text yet');
    const dialogue = new PlainDialogue(encode);
    dialogue.say('short', 100);
    expect(() => dialogue.say('x'.repeat(100), 50)).toThrow(NtxError);
    expect(say(dialogue, 'text')).toEqual(['short text', 0]);
  });
});
