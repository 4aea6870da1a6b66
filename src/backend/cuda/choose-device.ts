import { BUILD_ADDONS } from '../../addon.js';
import { NtxError } from '../../errors.js';
import { type CudaAddon, type DriverFacts, loadCudaAddon, mayHaveCuda, type NativeDevice } from './binding.js';

export interface ChosenDevice {
  readonly addon: CudaAddon;
  readonly index: number;
  readonly device: NativeDevice;
}

const OTHERWISE = 'or choose --backend webgpu or --backend cpu';

/** The first device that the built kernels run on. Throws NtxError('no-backend') with the reason why there is none. */
export function chooseDevice(): ChosenDevice {
  if (!mayHaveCuda()) {
    throw refusal('there is no NVIDIA driver here', `install the driver of your GPU, ${OTHERWISE}`);
  }
  const loaded = loadCudaAddon();
  if (loaded.addon === null) {
    throw refusal(loaded.reason, `${BUILD_ADDONS}, which says what it needs, ${OTHERWISE}`);
  }
  const { addon } = loaded;
  const facts = addon.devices();
  const problem = driverProblem(facts);
  if (problem) throw problem;
  const index = facts.devices.findIndex((_, device) => addon.hasKernels(device));
  if (index < 0) throw noKernels(facts);
  return { addon, index, device: facts.devices[index] };
}

/** What is wrong with a driver, if anything is. */
export function driverProblem({ driver, runtime, problem, devices }: DriverFacts): NtxError | null {
  if (driver === 0) {
    return refusal('there is no NVIDIA driver here', `install the driver of your GPU, ${OTHERWISE}`);
  }
  if (problem === 'cudaErrorInsufficientDriver' || driver < runtime) {
    const message = `the NVIDIA driver is too old: it serves CUDA ${version(driver)}, ${version(runtime)} is needed`;
    return refusal(message, `update the driver, ${OTHERWISE}`);
  }
  if (problem !== null && problem !== 'cudaErrorNoDevice') {
    return refusal(`the NVIDIA driver refuses its devices (${problem})`, `see what nvidia-smi says, ${OTHERWISE}`);
  }
  if (devices.length === 0) {
    const advice = `see what nvidia-smi and the variable CUDA_VISIBLE_DEVICES say, ${OTHERWISE}`;
    return refusal('the NVIDIA driver has no device', advice);
  }
  return null;
}

/** None of the devices has an architecture that was built. */
export function noKernels({ devices, architectures }: DriverFacts): NtxError {
  const found = devices.map(({ name, major, minor }) => `${name} (sm_${major}${minor})`).join(', ');
  const built = architectures
    .split(',')
    .map((each) => `sm_${each.replace('-real', '').replace('-virtual', ' and later')}`);
  return refusal(
    `no device has an architecture that was built: found ${found}, built for ${built.join(', ')}`,
    `run "npm run build:cuda" where nvcc is, ${OTHERWISE}`,
  );
}

/** 13000 is "13.0". */
function version(cuda: number): string {
  return `${Math.floor(cuda / 1000)}.${Math.floor((cuda % 1000) / 10)}`;
}

function refusal(message: string, advice: string): NtxError {
  return new NtxError('no-backend', `the cuda backend is not there: ${message}`, advice);
}
