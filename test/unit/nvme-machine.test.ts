// What ntx sees of drives in /sys and /proc, on made-up machines.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { NtxError } from '../../src/errors.js';
import { bind, checkMayBind, findDrive, restore } from '../../src/nvme/bind.js';
import { nvmeStatus } from '../../src/nvme/status.js';
import { groupNode, Kernel, listDrives, liveNeighbours } from '../../src/nvme/sysfs.js';
import { takeDrive } from '../../src/nvme/take.js';
import { usesOf } from '../../src/nvme/usage.js';

const roots: string[] = [];
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true });
});

const PCI = '/sys/bus/pci/devices';
const DRIVE = '0000:02:00.0';

/** Files by path; a value that begins with "-> " is a link. */
function machine(...parts: Readonly<Record<string, string>>[]): Kernel {
  const root = mkdtempSync(join(tmpdir(), 'ntx-machine-'));
  roots.push(root);
  for (const [path, content] of Object.entries(Object.assign({}, ...parts) as Record<string, string>)) {
    const target = join(root, path);
    mkdirSync(dirname(target), { recursive: true });
    if (content.startsWith('-> ')) symlinkSync(content.slice(3), target);
    else writeFileSync(target, `${content}\n`);
  }
  return new Kernel(root);
}

const device = (address: string, code: string, driver: string | null, group: number | null) => ({
  [`${PCI}/${address}/class`]: code,
  ...(driver && { [`${PCI}/${address}/driver`]: `-> ../../../bus/pci/drivers/${driver}` }),
  ...(group !== null && {
    [`${PCI}/${address}/iommu_group`]: `-> ../../../kernel/iommu_groups/${group}`,
    [`/sys/kernel/iommu_groups/${group}/devices/${address}/x`]: '',
    // Links of the kernel lead through /sys/devices; here they lead to the group's folder.
    [`/sys/bus/kernel/iommu_groups/${group}`]: `-> ../../../kernel/iommu_groups/${group}`,
  }),
});

const drive = (driver: string | null = 'nvme', group: number | null = 14) => ({
  ...device(DRIVE, '0x010802', driver, group),
  [`${PCI}/${DRIVE}/max_link_speed`]: '16.0 GT/s PCIe',
  [`${PCI}/${DRIVE}/max_link_width`]: '4',
  [`${PCI}/${DRIVE}/nvme/nvme0/serial`]: 'S7U  ',
  [`${PCI}/${DRIVE}/nvme/nvme0/model`]: 'Fast SSD',
  '/sys/class/nvme/nvme0/nvme0n1/x': '',
  '/sys/class/nvme/nvme0/hwmon0/x': '',
  '/sys/class/block/nvme0n1/size': '4096',
  '/sys/class/block/nvme0n1/nsid': '1',
  '/sys/class/block/nvme0n1/dev': '259:0',
  '/sys/class/block/nvme0n1/nvme0n1p2/partition': '2',
  '/sys/class/block/nvme0n1/nvme0n1p2/start': '2048',
  '/sys/class/block/nvme0n1/nvme0n1p2/size': '2048',
  '/sys/class/block/nvme0n1p2/dev': '259:2',
  '/proc/swaps': 'Filename Type Size Used Priority',
  '/proc/self/mountinfo': '22 1 8:1 / / rw - ext4 /dev/sda1 rw',
});

describe('drives', () => {
  test('are described with what is on them', () => {
    const sata = device('0000:00:1f.2', '0x010601', 'ahci', 3);
    expect(listDrives(machine(drive(), sata))).toEqual([
      {
        address: DRIVE,
        driver: 'nvme',
        group: 14,
        behindIommu: true,
        serial: 'S7U',
        model: 'Fast SSD',
        link: '16.0 GT/s PCIe x4',
        namespaces: [
          {
            name: 'nvme0n1',
            id: 1,
            start: 0,
            bytes: 4096 * 512,
            partitions: [{ name: 'nvme0n1p2', start: 2048 * 512, bytes: 2048 * 512 }],
          },
        ],
      },
    ]);
  });

  test('are the same under multipath', () => {
    const paths = { '/sys/class/nvme/nvme0/nvme0c0n1/x': '', '/sys/class/nvme/nvme0/nvme0c0n2/x': '' };
    const [{ namespaces }] = listDrives(machine(drive(), paths));
    expect(namespaces.map(({ name }) => name)).toEqual(['nvme0n1']);
  });

  test('are found by their address, with or without the domain', () => {
    const kernel = machine(drive());
    expect(findDrive(kernel, '02:00.0').address).toBe(DRIVE);
    expect(() => findDrive(kernel, '05:00.0')).toThrow(/no NVMe drive at 05:00.0; there are: 0000:02:00.0/);
  });
});

describe('uses of a drive', () => {
  const uses = (...parts: Record<string, string>[]) => usesOf(...oneDrive(machine(drive(), ...parts)));
  const oneDrive = (kernel: Kernel) => [kernel, listDrives(kernel)[0]] as const;
  const mounts = (...lines: string[]) => ({ '/proc/self/mountinfo': lines.join('\n') });

  test('none', () => expect(uses()).toEqual([]));

  test('mounts, also of a path with blanks', () => {
    expect(uses(mounts('30 22 259:2 / /mnt/my\\040disk rw - xfs /dev/nvme0n1p2 rw'))).toEqual([
      { device: 'nvme0n1p2', how: 'mounted on /mnt/my disk' },
    ]);
  });

  test('mounts of btrfs, whose device number is its own', () => {
    expect(uses(mounts('30 22 0:45 /sub /data rw shared:1 - btrfs /dev/nvme0n1p2 rw'))).toEqual([
      { device: 'nvme0n1p2', how: 'mounted on /data' },
    ]);
  });

  test('the root file system', () => {
    expect(uses(mounts('22 1 259:0 / / rw - ext4 /dev/nvme0n1 rw'))).toEqual([
      { device: 'nvme0n1', how: 'mounted on /' },
    ]);
  });

  test('swap, and what holds a partition', () => {
    const swaps = { '/proc/swaps': 'Filename Type Size Used Priority\n/dev/nvme0n1p2 partition 8 0 -2' };
    expect(uses(swaps, { '/sys/class/block/nvme0n1p2/holders/dm-0/x': '' }).map(({ how }) => how)).toEqual([
      'swap',
      expect.stringMatching(/held by dm-0/),
    ]);
  });

  test('each of them refuses the drive', () => {
    const kernel = machine(drive(), mounts('30 22 259:2 / /data rw - ext4 /dev/nvme0n1p2 rw'));
    expect(() => bind(kernel, DRIVE)).toThrow(/in use: nvme0n1p2 is mounted on \/data/);
  });
});

describe('IOMMU groups', () => {
  const check = (kernel: Kernel) => checkMayBind(kernel, findDrive(kernel, DRIVE));

  test('bridges and unused devices are no neighbours, others are', () => {
    const quiet = [device('0000:00:01.0', '0x060400', 'pcieport', 14), device('0000:02:00.1', '0x020000', null, 14)];
    const kernel = machine(drive(), ...quiet, device('0000:02:00.2', '0x020000', 'vfio-pci', 14));
    expect(liveNeighbours(kernel, findDrive(kernel, DRIVE))).toEqual([]);
    expect(() => check(kernel)).not.toThrow();
    const live = machine(drive(), ...quiet, device('0000:03:00.0', '0x030000', 'nvidia', 14));
    expect(() => check(live)).toThrow(/shares IOMMU group 14 with devices that are in use: 0000:03:00.0 \(nvidia\)/);
  });
});

test('a drive whose record was cut off goes back like any other', () => {
  const kernel = machine(drive(), { [`/run/ntx/nvme/${DRIVE}.json`]: '{"addr' });
  expect(restore(kernel).map(({ address }) => address)).toEqual([DRIVE]);
  expect(restore(kernel)).toEqual([]);
});

describe('without an IOMMU', () => {
  const SWITCH = '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode';
  const loaded = { '/sys/bus/pci/drivers/vfio-pci/x': '' };
  const root = { '/proc/self/status': 'CapEff:\t000001ffffffffff' };
  const refusal = (...parts: Record<string, string>[]) => {
    try {
      bind(machine(drive('nvme', null), loaded, ...parts), DRIVE, true);
    } catch (error) {
      const { code, message, advice } = error as NtxError;
      return [code, `${message}; ${advice}`];
    }
    return [];
  };
  const warnings: Error[] = [];
  beforeAll(() => {
    vi.spyOn(process, 'emitWarning').mockImplementation((text) => {
      warnings.push(text as Error);
    });
  });
  afterAll(() => vi.restoreAllMocks());

  test('a drive is refused, with what is at stake and the option that insists', () => {
    const kernel = machine(drive('nvme', null));
    const refuse = () => bind(kernel, DRIVE);
    expect(refuse).toThrow(/stands behind no IOMMU: .* can overwrite any memory of this machine/);
    expect(refuse).toThrow(expect.objectContaining({ advice: expect.stringMatching(/VT-d .* --unsafe-no-iommu/) }));
    expect(warnings).toEqual([]);
  });

  test('insisting warns of the same, and needs a kernel with the mode, turned on, and its capabilities', () => {
    expect(refusal(root)).toEqual(['unsupported', expect.stringMatching(/without the option CONFIG_VFIO_NOIOMMU/)]);
    expect(warnings.map(String)).toEqual([expect.stringMatching(/can overwrite any memory of this machine/)]);
    expect(refusal(root, { [SWITCH]: 'N' })).toEqual(['unsupported', expect.stringContaining(`sudo tee ${SWITCH}`)]);
    const user = { '/proc/self/status': 'CapEff:\t0000000000000000' };
    expect(refusal(user, { [SWITCH]: 'Y' })).toEqual(['unsupported', expect.stringMatching(/CAP_SYS_RAWIO/)]);
    const rawOnly = { '/proc/self/status': 'CapEff:\t0000000000020000' };
    expect(refusal(rawOnly, { [SWITCH]: 'Y' })).toEqual(['unsupported', expect.stringMatching(/CAP_SYS_ADMIN/)]);
    // Beyond them lies the claim of the drive's namespace, which is no file of this machine.
    expect(refusal(root, { [SWITCH]: 'Y' })).toEqual([
      'unsupported',
      expect.stringMatching(/nvme0n1 is not to be opened/),
    ]);
  });

  test('a drive that VFIO has without one is told by its group, and refused as well', async () => {
    const unsafe = { '/sys/kernel/iommu_groups/0/name': 'vfio-noiommu' };
    const kernel = machine(drive('vfio-pci', 0), unsafe);
    const found = findDrive(kernel, DRIVE);
    expect([found.behindIommu, groupNode(found)]).toEqual([false, '/dev/vfio/noiommu-0']);
    await expect(takeDrive(kernel, DRIVE)).rejects.toThrow(/stands behind no IOMMU/);
    const { source } = await takeDrive(kernel, DRIVE, true);
    expect(source).toEqual({ kind: 'vfio', address: DRIVE, group: 0, noIommu: true });
    expect(nvmeStatus(kernel)).toContainEqual(expect.objectContaining({ name: DRIVE, found: 'behind no IOMMU' }));
  });

  test('behind one, the option changes nothing', async () => {
    warnings.length = 0;
    const { source } = await takeDrive(machine(drive('vfio-pci')), DRIVE, true);
    expect([source.noIommu, warnings]).toEqual([false, []]);
  });
});

describe('status', () => {
  const missing = (kernel: Kernel) =>
    nvmeStatus(kernel).flatMap(({ name, state, advice }) => (state === 'missing' ? [[name, advice]] : []));

  test('names what is missing with what mends it', () => {
    const found = missing(machine(drive('nvme', null), { '/proc/meminfo': 'HugePages_Free: 0' }));
    expect(found).toContainEqual(['IOMMU', expect.stringContaining('intel_iommu=on')]);
    expect(found).toContainEqual(['vfio-pci', 'sudo modprobe vfio-pci']);
    expect(found).toContainEqual([DRIVE, 'see IOMMU above']);
  });

  test('a drive that VFIO has and this user may open', () => {
    const ready = {
      '/sys/class/iommu/dmar0/x': '',
      '/sys/bus/pci/drivers/vfio-pci/x': '',
      '/proc/meminfo': 'HugePages_Free: 64',
      '/dev/vfio/14': '',
    };
    const findings = nvmeStatus(machine(drive('vfio-pci'), ready)).filter(({ name }) => name !== 'locked memory');
    expect(findings.filter(({ state }) => state === 'missing')).toEqual([]);
    expect(findings.at(-1)!.found).toMatch(/\/dev\/vfio\/14 may be opened/);
  });
});
