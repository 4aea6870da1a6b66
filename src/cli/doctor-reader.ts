// What `ntx doctor` says of the way in which model files are read.
import { BUILD_ADDONS } from '../addon.js';
import type { HostAddon } from '../backend/cpu/binding.js';
import type { Finding } from './finding.js';

type IoUring = ReturnType<HostAddon['ioUringInfo']>;

/** `info`: of the host addon; null where there is none. */
export function readerFinding(info: IoUring | null): Finding {
  return { name: 'file reader', state: info?.unavailable === '' ? 'ok' : 'note', found: describe(info) };
}

function describe(info: IoUring | null): string {
  if (info === null) return "through Node's own files; the host addon reads large models faster";
  if (info.unavailable === '') return 'io_uring or pread, whichever is faster on the file system of a large model';
  if (info.library === '') {
    const install = 'install it (Debian, Ubuntu: apt-get install liburing-dev; Fedora: dnf install liburing-devel)';
    return `pread; io_uring was not built in for want of liburing: ${install} and ${BUILD_ADDONS}`;
  }
  return `pread; io_uring: ${info.unavailable} (sysctl kernel.io_uring_disabled, or a container's seccomp profile)`;
}
