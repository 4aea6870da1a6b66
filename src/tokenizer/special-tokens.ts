import { TOKEN_TYPE, type Vocabulary } from './vocabulary.js';

/** A special token found in a text: [start, end) in UTF-16 units. */
export interface SpecialMatch {
  readonly start: number;
  readonly end: number;
  readonly id: number;
}

interface Node {
  readonly children: Map<number, Node>;
  id: number | null;
}

/**
 * Finds the tokens that are written out in a text: control tokens, and user-defined ones, which are no result of merging.
 * The longest win wherever tokens overlap, as in llama.cpp.
 */
export class SpecialTokens {
  private readonly root: Node = { children: new Map(), id: null };
  /** Control tokens and those user-defined ones that are written like one: what a template builds turns with. */
  private readonly markers = new Set<number>();
  /** Characters that a marker begins or ends with. */
  readonly markerEdges: ReadonlySet<string>;

  constructor(private readonly vocabulary: Vocabulary) {
    const edges = new Set<string>();
    for (const [id, text] of vocabulary.texts.entries()) {
      const type = vocabulary.types[id];
      const control = type === TOKEN_TYPE.control || type === TOKEN_TYPE.unknown;
      if (text === '' || !(control || type === TOKEN_TYPE.userDefined)) continue;
      this.insert(text, id);
      if (!control && !/^\s*(<.+>|\[.+\])\s*$/su.test(text)) continue;
      this.markers.add(id);
      const characters = [...text];
      edges.add(characters[0]).add(characters[characters.length - 1]);
    }
    this.markerEdges = edges;
  }

  /**
   * The matches in order. Control tokens are only found with `parseSpecial`, and a marker never where its first or last
   * unit is at an offset in `quoted`.
   */
  find(text: string, parseSpecial: boolean, quoted: ReadonlySet<number>): SpecialMatch[] {
    const candidates = this.candidates(text).filter(({ start, end, id }) => {
      const type = this.vocabulary.types[id];
      if (type !== TOKEN_TYPE.userDefined && !parseSpecial) return false;
      return !(this.markers.has(id) && (quoted.has(start) || quoted.has(end - 1)));
    });
    if (candidates.length < 2) return candidates;
    candidates.sort((a, b) => b.end - b.start - (a.end - a.start) || a.start - b.start);
    const taken = new Uint8Array(text.length);
    const matches = candidates.filter(({ start, end }) => {
      // What is taken already is at least as long, so an overlap covers one of the ends.
      if (taken[start] || taken[end - 1]) return false;
      taken.fill(1, start, end);
      return true;
    });
    return matches.sort((a, b) => a.start - b.start);
  }

  private candidates(text: string): SpecialMatch[] {
    const found: SpecialMatch[] = [];
    if (this.root.children.size === 0) return found;
    for (let start = 0; start < text.length; start++) {
      let node = this.root.children.get(text.charCodeAt(start));
      for (let end = start + 1; node; end++) {
        if (node.id !== null) found.push({ start, end, id: node.id });
        node = end < text.length ? node.children.get(text.charCodeAt(end)) : undefined;
      }
    }
    return found;
  }

  private insert(text: string, id: number): void {
    let node = this.root;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      let child = node.children.get(unit);
      if (!child) {
        child = { children: new Map(), id: null };
        node.children.set(unit, child);
      }
      node = child;
    }
    node.id = id;
  }
}
