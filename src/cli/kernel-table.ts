import type { PassProfile } from '../profile.js';
import { table } from './output.js';

/** The kernels of a pass, one label a line, and their sum. */
export function kernelTable({ seconds, kernels }: PassProfile): string {
  const microseconds = (value: number) => (1e6 * value).toFixed(1);
  const share = (value: number) => `${((100 * value) / seconds).toFixed(1)} %`;
  const rate = (bytes: number, time: number) => (bytes > 0 ? (bytes / time / 1e9).toFixed(1) : '');
  const sum = (of: (kernel: PassProfile['kernels'][number]) => number) =>
    kernels.reduce((all, each) => all + of(each), 0);
  const rows = kernels.map(({ label, count, seconds: time, weightBytes }) => [
    ...[share(time), `${count}`, microseconds(time), microseconds(time / count), rate(weightBytes, time), label],
  ]);
  const bytes = sum(({ weightBytes }) => weightBytes);
  const count = sum((kernel) => kernel.count);
  const last = [
    '100.0 %',
    `${count}`,
    microseconds(seconds),
    microseconds(seconds / count),
    rate(bytes, seconds),
    'all',
  ];
  return table([['share', 'count', 'total us', 'mean us', 'GB/s', 'kernel'], ...rows, last], [0, 1, 2, 3, 4]);
}
