// A drive without an IOMMU in front of it, in an emulated machine without one: on Debian's kernel, which has no such mode, and on
// one whose module vfio was built anew with it.
import { randomFillSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Machine } from '../../scripts/guest/machine.mjs';
import { noIommuParts } from '../../scripts/guest/no-iommu.mjs';
import { compareReads, driveSteps, randomReads } from './drive-steps.js';
import { machineImages, SKIP_NVME } from './images.js';

const MIB = 2 ** 20;
const BYTES = 40 * MIB;
const DATA = SKIP_NVME ? new Uint8Array() : randomFillSync(new Uint8Array(BYTES));
const DRIVE = '0000:00:05.0';
const NTX = 'node /ntx/dist/main.js nvme';
const SWITCH = '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode';

let folder = '';
let machine: Machine;

async function boot(findParts?: typeof noIommuParts): Promise<void> {
  const file = { driver: 'file', 'node-name': 'plain', filename: join(folder, 'drive.img'), 'read-only': true };
  const drives = ['-blockdev', JSON.stringify(file), '-device', 'nvme,drive=plain,serial=plain,mdts=10,addr=5'];
  machine = await Machine.boot(machineImages(findParts), { drives, iommu: false });
}

describe.skipIf(SKIP_NVME)('without an IOMMU', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'ntx-nvme-'));
    writeFileSync(join(folder, 'drive.img'), DATA);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  describe('a kernel that has no such mode', () => {
    beforeAll(() => boot(), 300_000);
    afterAll(() => machine?.close());

    test('a drive is refused with what is at stake; to insist tells what the kernel lacks', async () => {
      expect(await machine.must(`${NTX} status 2>&1`)).toMatch(/-- {2}IOMMU .*none at work/);
      const refused = await machine.run(`${NTX} bind ${DRIVE} 2>&1`);
      expect([refused.status, refused.output]).toEqual([
        2,
        expect.stringMatching(/stands behind no IOMMU: .* overwrite any memory of this machine/),
      ]);
      const insisted = await machine.run(`${NTX} bind --unsafe-no-iommu ${DRIVE} 2>&1`);
      expect([insisted.status, insisted.output]).toEqual([
        2,
        expect.stringMatching(/built without the option CONFIG_VFIO_NOIOMMU/),
      ]);
      expect(await machine.must(`basename $(readlink /sys/bus/pci/devices/${DRIVE}/driver)`)).toBe('nvme');
    });
  });

  describe('a kernel that has it', () => {
    beforeAll(() => boot(noIommuParts), 600_000);
    afterAll(() => machine?.close());

    test('it has to be turned on by hand, and warns of what is at stake', async () => {
      expect((await machine.run(`${NTX} bind ${DRIVE} 2>&1`)).output).toMatch(/stands behind no IOMMU/);
      const off = await machine.run(`${NTX} bind --unsafe-no-iommu ${DRIVE} 2>&1`);
      expect([off.status, off.output]).toEqual([2, expect.stringMatching(/mode without an IOMMU is off/)]);
      const on = await machine.must(`echo 1 > ${SWITCH}; ${NTX} bind --unsafe-no-iommu ${DRIVE} 2>&1`);
      expect(on).toMatch(/UnsafeNoIommu: drive .* can overwrite any memory of this machine/);
      expect(on).toMatch(/is with vfio-pci now/);
      expect(await machine.must('ls /dev/vfio')).toBe('noiommu-0\nvfio');
    });

    test('a run touches a drive that was bound with the option with it alone', async () => {
      const run = `echo '{}' > /tmp/x.ntxmap; node /ntx/dist/main.js run /tmp/x.ntxmap --nvme ${DRIVE} -p x`;
      const refused = await machine.run(`${run} 2>&1`);
      expect([refused.status, refused.output]).toEqual([2, expect.stringMatching(/stands behind no IOMMU/)]);
      const { output } = await machine.run(`${run} --unsafe-no-iommu 2>&1`);
      expect(output).toMatch(/UnsafeNoIommu: .*expected "ntxmap": 1/s);
    });

    test('reads ranges of every kind through the driver’s own huge pages, byte by byte', async () => {
      const reads = [[0, 16 * MIB, 20] as const, [BYTES - 513, 513, 0] as const, ...randomReads(60, MIB, BYTES)];
      const { info, stats } = await compareReads(machine, DRIVE, DATA, reads, { threads: 2 });
      expect(info).toMatchObject({ transport: 'VFIO without an IOMMU', hugePages: true });
      expect(stats.bouncedBytes).toBe(stats.bytes);
    });

    test('is there for the next process after one was killed in the middle of reads', async () => {
      const request = JSON.stringify({ address: DRIVE, steps: [{ kill: 'SIGKILL' }] });
      expect((await machine.run(`node /ntx/guest/drive.mjs '${request}'`)).status).toBe(137);
      await compareReads(machine, DRIVE, DATA, [[0, 4 * MIB, 0]]);
    });

    test('ordinary pages will not do', async () => {
      await machine.must('echo 0 > /proc/sys/vm/nr_hugepages');
      const [refused] = await driveSteps(machine, DRIVE, []);
      expect(refused.error).toMatch(/memory lies on huge pages, and there are not 1 free ones/);
      await machine.must('echo 32 > /proc/sys/vm/nr_hugepages');
      await compareReads(machine, DRIVE, DATA, [[MIB, MIB, 0]]);
    });

    test('goes back to the kernel', async () => {
      expect(await machine.must(`${NTX} unbind ${DRIVE} 2>&1`)).toMatch(/is with nvme now/);
    });
  });
});
