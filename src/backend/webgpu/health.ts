import { NtxError } from '../../errors.js';

/**
 * What went wrong on a device. WebGPU reports errors later than the call that made them, so the first one is kept: whatever
 * the device's memory holds afterwards is unknown, and every later call throws it.
 */
export class Health {
  #failure: NtxError | null = null;
  #disposed = false;

  constructor(
    private readonly device: GPUDevice,
    name: string,
  ) {
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.fail(deviceError(event.error, name));
    });
    void device.lost.then(({ message }) => {
      if (this.#disposed) return;
      this.fail(
        new NtxError(
          'internal',
          `the device ${name} was lost: ${message || 'its driver gave no reason'}`,
          'load the model again; if it happens again, update the driver or choose --backend cpu',
        ),
      );
    });
  }

  /** Throws the first failure, if there was one. */
  check(): void {
    if (this.#disposed) throw new NtxError('internal', 'the webgpu backend is used after dispose()', 'report this');
    if (this.#failure) throw this.#failure;
  }

  fail(error: NtxError): void {
    this.#failure ??= error;
  }

  /** A rejected promise of WebGPU, as what made it fail. */
  explain(error: unknown, what: string): NtxError {
    if (error instanceof NtxError) return error;
    return this.#failure ?? deviceError(error, what);
  }

  /** From here on the loss of the device is intended. */
  dispose(): void {
    this.#disposed = true;
  }

  /** Runs `make` and keeps what the device has to say against it, which it tells later. The promise never rejects. */
  guard<T>(what: string, make: () => T): { value: T; settled: Promise<void> } {
    this.device.pushErrorScope('out-of-memory');
    this.device.pushErrorScope('internal');
    this.device.pushErrorScope('validation');
    try {
      const value = make();
      return { value, settled: this.#popScopes(what) };
    } catch (error) {
      void this.#popScopes(what);
      throw error;
    }
  }

  async #popScopes(what: string): Promise<void> {
    // They reject when the device is gone, which `lost` reports.
    const scopes = [0, 1, 2].map(() => this.device.popErrorScope().catch(() => null));
    for (const scope of scopes) {
      const error = await scope;
      if (error) this.fail(deviceError(error, what));
    }
  }
}

/** An error of Dawn in a sentence. `what`: the memory, the kernel or the device that it is about. */
function deviceError(error: unknown, what: string): NtxError {
  const message = error instanceof Error || (error as GPUError)?.message ? (error as GPUError).message : String(error);
  // Classes of Dawn are no globals in Node, and there is no other mark.
  if ((error as object)?.constructor?.name === 'GPUOutOfMemoryError') {
    return new NtxError(
      'no-memory',
      `${what}: the device has no memory left for it (${firstLine(message)})`,
      'choose a smaller model or context, or close other programs that use the GPU',
    );
  }
  return new NtxError('internal', `${what}: WebGPU says: ${message.trim()}`, 'report this, or choose --backend cpu', {
    cause: error,
  });
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0];
}
