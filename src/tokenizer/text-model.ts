/** How a kind of vocabulary turns plain text, without special tokens, into ids, and its tokens into bytes. */
export interface TextModel {
  /** Appends the ids of a well-formed text that is not empty and that begins the whole text or follows a special token. */
  encode(text: string, ids: number[]): void;
  /** The bytes that a normal or byte token stands for. */
  bytes(id: number): Uint8Array;
}
