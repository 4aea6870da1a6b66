import { NtxError } from '../errors.js';

// White space is Unicode's White_Space everywhere, as in the models' own tokenizers: JavaScript's \s lacks U+0085 and
// has U+FEFF. A pattern without a last `\s+` leaves single white-space characters unmatched; they become words all the
// same, as everything between two matches does.
const SPACE = '\\p{White_Space}';
const NO_SPACE_AFTER = '(?!\\P{White_Space})';

const GPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${SPACE}\\p{L}\\p{N}]+|${SPACE}+${NO_SPACE_AFTER}`;

/** Contractions in either case of ASCII letters only; `digits`: how many digits make a word at most. */
function llama3(digits: string): string {
  return [
    "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]",
    `[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}${digits}| ?[^${SPACE}\\p{L}\\p{N}]+[\\r\\n]*`,
    `${SPACE}*[\\r\\n]+|${SPACE}+${NO_SPACE_AFTER}|${SPACE}+`,
  ].join('|');
}

/** Cased letters as of deepseek-llm's tokenizer.json. Escaped where Unicode normalisation would turn one into another. */
const DEEPSEEK_LETTERS =
  'A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝ' +
  '\\u1f5f-\\u1f7dᾀ-ᾴᾶ-ᾼ\\u1fbeῂ-ῄῆ-ῌ\\u1fd0-\\u1fd3\\u1fd6-\\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\\u2126ℨ\\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄ' +
  'Ⰰ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ\\u{10400}-\\u{1044f}\\u{104b0}-\\u{104d3}\\u{104d8}-\\u{104fb}' +
  '\\u{10c80}-\\u{10cb2}\\u{10cc0}-\\u{10cf2}\\u{118a0}-\\u{118df}\\u{1e900}-\\u{1e943}';
const DEEPSEEK_PUNCTUATION = '!-\\/:-~\\uff01-\\uff0f\\uff1a-\\uff5e\\u2018-\\u201f\\u3000-\\u3002';
const DEEPSEEK_CJK = '[\\u4e00-\\u9fa5\\u0800-\\u4e00\\uac00-\\ud7ff]+';

const SINGLE_DIGITS = ['\\p{N}', GPT2];

/** The patterns of each `tokenizer.ggml.pre`, applied one after the other to what the one before left. */
const PATTERNS = new Map<string, readonly string[]>([
  ['default', ['[\\p{P}$+<=>\\^~\\|]+', GPT2, '\\p{N}+', '[0-9][0-9][0-9]']],
  ...['llama-bpe', 'llama3', 'llama-v3'].map((name) => [name, [llama3('{1,3}')]] as const),
  ...['qwen2', 'deepseek-r1-qwen'].map((name) => [name, [llama3('')]] as const),
  ...['gpt-2', 'mpt'].map((name) => [name, [GPT2]] as const),
  ...['smollm', 'starcoder', 'refact'].map((name) => [name, SINGLE_DIGITS] as const),
  ['falcon', ['[\\p{P}$+<=>\\^~\\|`]+', GPT2, '[0-9][0-9][0-9]']],
  ['deepseek-coder', ['[\\r\\n]', `${SPACE}?\\p{L}+`, `${SPACE}?\\p{P}+`, DEEPSEEK_CJK, '\\p{N}']],
  [
    'deepseek-llm',
    [
      '[\\r\\n]',
      `${SPACE}?[${DEEPSEEK_LETTERS}]+`,
      `${SPACE}?[${DEEPSEEK_PUNCTUATION}]+`,
      `${SPACE}+$`,
      DEEPSEEK_CJK,
      '\\p{N}+',
    ],
  ],
]);

/** Llama 3's tokenizer takes a word that is a token as that token, and begins every text with BOS by default. */
const LLAMA3_NAMES = new Set(['llama-bpe', 'llama3', 'llama-v3']);

/** Cuts a text into the words within which a byte-level vocabulary merges. */
export class PreTokenizer {
  readonly ignoreMerges: boolean;
  readonly addBos: boolean;
  private readonly patterns: readonly RegExp[];

  /** @throws NtxError `unsupported` for a name that is not known. */
  constructor(name: string) {
    const patterns = PATTERNS.get(name);
    if (!patterns) {
      throw new NtxError(
        'unsupported',
        `The model's pre-tokenizer is '${name.slice(0, 60)}'; ntx knows ${[...PATTERNS.keys()].join(', ')}.`,
        'Use another model, or ask for this pre-tokenizer: guessing one would quietly spoil the answers.',
      );
    }
    this.patterns = patterns.map((pattern) => new RegExp(pattern, 'gu'));
    this.ignoreMerges = LLAMA3_NAMES.has(name);
    this.addBos = LLAMA3_NAMES.has(name);
  }

  /**
   * Calls `emit` with every word of a well-formed text, in order; joined they are the text.
   * @throws NtxError `bad-prompt` for a word of many millions of characters, which V8's regular expressions cannot match
   */
  split(text: string, emit: (word: string) => void): void {
    try {
      this.splitFrom(0, text, emit);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      const what = `The text of ${text.length} characters has a word that is too long to match.`;
      throw new NtxError('bad-prompt', what, 'Put spaces into it or shorten it.', { cause });
    }
  }

  private splitFrom(stage: number, text: string, emit: (word: string) => void): void {
    if (stage === this.patterns.length) {
      emit(text);
      return;
    }
    const pattern = this.patterns[stage];
    let at = 0;
    pattern.lastIndex = 0;
    for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
      if (match.index > at) this.splitFrom(stage + 1, text.slice(at, match.index), emit);
      this.splitFrom(stage + 1, match[0], emit);
      at = match.index + match[0].length;
    }
    if (at < text.length) this.splitFrom(stage + 1, text.slice(at), emit);
  }
}
