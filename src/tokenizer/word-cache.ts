/** V8 copies substrings up to 12 units; a longer one would keep the whole text alive that it was cut from. */
const LONGEST = 12;

const WORDS = 16_384;

/** Token ids of the words met last: two generations of at most WORDS each, the older forgotten when the younger is full. */
export class WordCache {
  private young = new Map<string, readonly number[]>();
  private old = new Map<string, readonly number[]>();

  /** `encode` appends a word's ids to its second argument. */
  constructor(private readonly encode: (word: string, ids: number[]) => void) {}

  append(word: string, ids: number[]): void {
    if (word.length > LONGEST) {
      this.encode(word, ids);
      return;
    }
    let known = this.young.get(word);
    if (!known) {
      known = this.old.get(word) ?? this.compute(word);
      if (this.young.size >= WORDS) {
        this.old = this.young;
        this.young = new Map();
      }
      this.young.set(word, known);
    }
    for (const id of known) ids.push(id);
  }

  private compute(word: string): readonly number[] {
    const ids: number[] = [];
    this.encode(word, ids);
    return ids;
  }
}
