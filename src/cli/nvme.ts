import { basename } from 'node:path';
import type { Command } from 'commander';
import { NtxError } from '../errors.js';
import type { DriveEntry } from '../nvme/sysfs.js';
import { findingsText } from './finding.js';
import { UNSAFE_NO_IOMMU } from './model-options.js';
import { bytesText, columnsOf, note, print, printJson, table, writeText } from './output.js';

export function addNvme(program: Command): void {
  const nvme = program
    .command('nvme')
    .summary("read models from a drive without the kernel's driver")
    .description(
      "Reads models from NVMe drives through VFIO, past the kernel's driver and file system. Read docs/nvme.md first: it " +
        'begins with what can go wrong.',
    );
  nvme
    .command('list')
    .description('Shows the NVMe drives, who drives them, and what is on them.')
    .option('--json', 'as JSON')
    .action(list);
  nvme
    .command('status')
    .description('Shows what is missing to read drives with ntx, with the command that mends it.')
    .argument('[address]', 'of one drive')
    .option('--json', 'as JSON')
    .action(status);
  nvme
    .command('map')
    .description('Records where a model lies on its drive, while its file system is mounted.')
    .argument('<model>', 'GGUF file')
    .option('-o, --output <path>', "the map to write (default: the model's name with .ntxmap, in the current folder)")
    .action(map);
  nvme
    .command('bind')
    .description(
      'Takes a drive from the kernel and gives it to vfio-pci (as root). Refused while anything uses the drive.',
    )
    .argument('<address...>', 'PCI addresses, as `ntx nvme list` shows them')
    .option('--unsafe-no-iommu', UNSAFE_NO_IOMMU)
    .action(bindDrives);
  nvme
    .command('unbind')
    .description("Gives a drive back to the kernel's driver (as root).")
    .argument('<address...>', 'PCI addresses')
    .action(unbindDrives);
  nvme
    .command('restore')
    .description('Gives all drives that ntx has taken back to the kernel (as root): after a crash.')
    .argument('[address]', 'of one drive')
    .action(restoreDrives);
}

async function list(flags: { json?: boolean }): Promise<void> {
  const { Kernel, listDrives } = await import('../nvme/sysfs.js');
  const { usesOf } = await import('../nvme/usage.js');
  const kernel = new Kernel();
  const drives = listDrives(kernel).map((drive) => ({ ...drive, uses: usesOf(kernel, drive) }));
  if (flags.json) printJson(drives, 2);
  else if (drives.length === 0) print('There is no NVMe drive on PCI.');
  else print(table(drives.flatMap(({ uses, ...drive }) => [driveRow(drive), ...deviceRows(drive, uses)])));
}

function driveRow(drive: DriveEntry): string[] {
  const group = drive.behindIommu ? `group ${drive.group}` : 'no IOMMU';
  return [drive.address, drive.driver ?? 'no driver', group, `${drive.model ?? ''} ${drive.serial ?? ''}`.trim(), ''];
}

function deviceRows(drive: DriveEntry, uses: readonly { device: string; how: string }[]): string[][] {
  return drive.namespaces
    .flatMap((namespace) => [namespace, ...namespace.partitions])
    .map(({ name, bytes }) => {
      const hows = uses.filter((use) => use.device === name).map((use) => use.how);
      return ['', name, bytesText(bytes), hows.length > 0 ? hows.join(', ') : 'not in use', ''];
    });
}

async function status(address: string | undefined, flags: { json?: boolean }): Promise<void> {
  const { Kernel } = await import('../nvme/sysfs.js');
  const { nvmeStatus } = await import('../nvme/status.js');
  const findings = nvmeStatus(new Kernel(), address);
  if (flags.json) return printJson(findings, 2);
  print(findingsText(findings, columnsOf(process.stdout)));
}

async function map(path: string, flags: { output?: string }): Promise<void> {
  const { Kernel } = await import('../nvme/sysfs.js');
  const { mapModel } = await import('../nvme/make-map.js');
  const { MAP_ENDING } = await import('../nvme/model-map.js');
  const output = flags.output ?? `${basename(path).replace(/\.gguf$/, '')}${MAP_ENDING}`;
  if (!output.endsWith(MAP_ENDING)) {
    throw new NtxError('bad-argument', `a map ends in ${MAP_ENDING}, and this is ${output}`, 'give another name');
  }
  const made = await mapModel(new Kernel(), path);
  await writeText(output, `${JSON.stringify(made)}\n`);
  const extents = made.files.reduce((sum, file) => sum + file.extents.length, 0);
  note(`${output}: ${made.files.length} file(s) in ${extents} extents on drive ${made.drive.serial}.`);
  note('Unmount the file system before the drive is taken; whenever the model is written or moved, map it again.');
}

async function bindDrives(addresses: readonly string[], flags: { unsafeNoIommu?: boolean }): Promise<void> {
  const { Kernel, groupNode } = await import('../nvme/sysfs.js');
  const { bind } = await import('../nvme/bind.js');
  for (const address of addresses) {
    const drive = bind(new Kernel(), address, flags.unsafeNoIommu);
    note(`${drive.address} is with ${drive.driver} now; ntx nvme unbind ${drive.address} gives it back.`);
    if (drive.behindIommu) note(`To read it without root: sudo chown $USER ${groupNode(drive)}`);
  }
}

async function unbindDrives(addresses: readonly string[]): Promise<void> {
  const { Kernel } = await import('../nvme/sysfs.js');
  const { unbind } = await import('../nvme/bind.js');
  for (const address of addresses) {
    const drive = unbind(new Kernel(), address);
    note(`${drive.address} is with ${drive.driver} now.`);
  }
}

async function restoreDrives(address: string | undefined): Promise<void> {
  const { Kernel } = await import('../nvme/sysfs.js');
  const { restore } = await import('../nvme/bind.js');
  const drives = restore(new Kernel(), address);
  if (drives.length === 0) note('ntx has taken no drive.');
  for (const drive of drives) note(`${drive.address} is with ${drive.driver} now.`);
}
