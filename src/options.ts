import type { BackendOptions } from './backend/index.js';
import type { PlanOptions } from './choose-plan.js';
import type { FinishReason } from './generate.js';
import type { SamplerOptions } from './sampler/index.js';
import type { LoadOptions } from './streaming/load.js';

export interface LoadModelOptions extends BackendOptions, LoadOptions, PlanOptions {
  /** Positions of the KV cache. Default: what the model was trained for, at most 4096. */
  readonly context?: number | undefined;
  /** Rows of one pass of a prompt. Default 512 on a GPU, else 256; more where weights are streamed and that costs little. */
  readonly maxRows?: number | undefined;
  /** Outputs of one pass. Default 8. */
  readonly maxOutputs?: number | undefined;
  /** PCI address of the drive that a map (.ntxmap) is of: it is read without the kernel's driver (docs/nvme.md). */
  readonly nvme?: string | undefined;
  /** Drives that drive without an IOMMU as well, where a bug can overwrite any memory of the machine (docs/nvme.md). */
  readonly unsafeNoIommu?: boolean | undefined;
  /** Told why, when a backend that nobody asked for is left for a faster one. */
  readonly onBackend?: ((reason: string) => void) | undefined;
  /** Compare the checksum of weights that are read again, where some stay on disk, with that of their first read. */
  readonly verify?: boolean | undefined;
}

export interface GenerateOptions extends Partial<SamplerOptions> {
  /** Default: until the model ends the text or the context is full. */
  readonly maxTokens?: number | undefined;
  /** Texts that end the generation; they are not part of it. */
  readonly stop?: readonly string[] | undefined;
  /** Aborting ends the generation with the reason "cancelled". */
  readonly signal?: AbortSignal | undefined;
  /** Goes on when the model says that it is done. */
  readonly ignoreEnd?: boolean | undefined;
  /** Called after each pass over the prompt. */
  readonly onPrompt?: ((done: number, total: number) => void) | undefined;
}

/** One generated token and the text that it completes. */
export interface Piece {
  /** Whole characters only: empty while a character, or a possible stop text, is incomplete. */
  readonly text: string;
  /** null for text that was held back and is complete at the end. */
  readonly token: number | null;
  /** ln of the model's probability of the token. */
  readonly logProbability: number | null;
}

/** What a generation did; the return value of `generate`. */
export interface Summary {
  readonly finishReason: FinishReason;
  readonly promptTokens: number;
  /** Of these, how many the KV cache held already. */
  readonly reusedTokens: number;
  readonly generatedTokens: number;
  readonly promptSeconds: number;
  readonly decodeSeconds: number;
}
