import { NtxError } from '../../errors.js';

/** What to do about errors of CUDA that have causes outside of ntx. */
const ADVICE: readonly (readonly [name: string, advice: string])[] = [
  ['cudaErrorLaunchTimeout', 'the display driver ended a kernel that ran too long: use a GPU without a display'],
  [
    'cudaErrorECCUncorrectable',
    'the memory of the GPU has an error: see nvidia-smi -q -d ECC, and restart the machine',
  ],
  ['cudaErrorDevicesUnavailable', 'another program has the GPU for itself: end it, or choose --backend cpu'],
  ['cudaErrorNoKernelImageForDevice', 'run "npm run build:cuda"'],
  ['cudaErrorUnsupportedPtxVersion', 'update the NVIDIA driver'],
  ['cudaErrorHardwareStackError', 'the GPU reports a fault of its hardware: see dmesg'],
];

const REPORT = 'load the model again; if it happens again, report this, or choose --backend webgpu or cpu';

/** A failure of the device: whatever its memory holds is unknown from then on. */
export function deviceFailure(message: string, cause?: unknown): NtxError {
  const advice = ADVICE.find(([name]) => message.includes(name))?.[1] ?? REPORT;
  return new NtxError('internal', `the device failed: ${message}`, advice, { cause });
}

/** Runs native code; whatever it throws becomes an NtxError. */
export function asNtx<T>(what: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw asNtxError(error, what);
  }
}

export function asNtxError(error: unknown, what: string): NtxError {
  if (error instanceof NtxError) return error;
  const { message, code } = error as Error & { code?: string };
  if (code === 'no-memory') {
    const advice = 'choose a smaller model or context, or close other programs that use the GPU';
    return new NtxError('no-memory', `${what}: ${message}`, advice, { cause: error });
  }
  if (code === 'cuda') return deviceFailure(message, error);
  return new NtxError('internal', `${what}: ${message}`, 'report this', { cause: error });
}
