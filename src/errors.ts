/** What went wrong, for programs. The CLI exits with 2 on any NtxError and with 1 on anything else. */
export type NtxErrorCode =
  | 'bad-argument'
  | 'bad-file'
  | 'bad-prompt'
  | 'cancelled'
  | 'io'
  | 'no-backend'
  | 'no-memory'
  | 'unsupported'
  | 'internal';

/**
 * An error with a sentence for a person: `message` says what was expected and what came, `advice` what to do.
 * TypeScript validates and throws these; native code throws plain errors that the calling room wraps.
 */
export class NtxError extends Error {
  override readonly name = 'NtxError';

  constructor(
    readonly code: NtxErrorCode,
    message: string,
    readonly advice: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
