/** A small fast generator of reproducible random bits: xoshiro128** (Blackman and Vigna, prng.di.unimi.it). */
export class Random {
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  /** The stream depends on the seed and on the label, so that each use of one seed gets a stream of its own. */
  constructor(seed: number, label: string) {
    let state = seed | 0;
    for (let i = 0; i < label.length; i++) state = Math.imul(state ^ label.charCodeAt(i), 0x01000193);
    // splitmix32 spreads the 32 bits over the four words.
    const next = () => {
      state = (state + 0x9e3779b9) | 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return z ^ (z >>> 15);
    };
    [this.a, this.b, this.c, this.d] = [next(), next(), next(), next() | 1];
  }

  /** 32 random bits, unsigned. */
  bits(): number {
    const five = Math.imul(this.b, 5);
    const result = Math.imul((five << 7) | (five >>> 25), 9);
    const shifted = this.b << 9;
    this.c ^= this.a;
    this.d ^= this.b;
    this.b ^= this.c;
    this.a ^= this.d;
    this.c ^= shifted;
    this.d = (this.d << 11) | (this.d >>> 21);
    return result >>> 0;
  }

  /** In [0, 1). */
  unit(): number {
    return this.bits() * 2 ** -32;
  }

  /** A whole number in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.unit() * limit);
  }

  fill(bytes: Uint8Array): void {
    const words = new Uint32Array(Math.ceil(bytes.length / 4));
    for (let i = 0; i < words.length; i++) words[i] = this.bits();
    bytes.set(new Uint8Array(words.buffer, 0, bytes.length));
  }
}
