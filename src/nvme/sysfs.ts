// What the kernel tells of drives, in /sys and /proc. A root other than / is for tests.
import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';

/** Reading of small files of the kernel; what is not there is null. */
export class Kernel {
  constructor(readonly root = '/') {}

  text(path: string): string | null {
    try {
      return readFileSync(join(this.root, path), 'utf8').trim();
    } catch {
      return null;
    }
  }

  number(path: string): number | null {
    const text = this.text(path);
    return text === null || text === '' || Number.isNaN(Number(text)) ? null : Number(text);
  }

  /** The last part of what a link leads to: a driver's or a group's name. */
  target(path: string): string | null {
    try {
      return basename(readlinkSync(join(this.root, path)));
    } catch {
      return null;
    }
  }

  /** Where a path really is, without the root. */
  real(path: string): string | null {
    try {
      const real = realpathSync(join(this.root, path));
      return this.root === '/' ? real : real.slice(realpathSync(this.root).length);
    } catch {
      return null;
    }
  }

  names(path: string): string[] {
    try {
      return readdirSync(join(this.root, path)).sort();
    } catch {
      return [];
    }
  }
}

/** A block device: a namespace, or a partition of it. */
export interface BlockDevice {
  /** "nvme0n1p2" */
  readonly name: string;
  /** Where it begins on its namespace. */
  readonly start: number;
  readonly bytes: number;
}

export interface Namespace extends BlockDevice {
  readonly id: number;
  readonly partitions: readonly BlockDevice[];
}

export interface DriveEntry {
  /** "0000:02:00.0" */
  readonly address: string;
  /** The kernel's driver: nvme, vfio-pci; null: none has it. */
  readonly driver: string | null;
  /** VFIO's number for it; null: no IOMMU is at work for it, and VFIO does not have it without one. */
  readonly group: number | null;
  readonly behindIommu: boolean;
  /** Of these, only drives of the kernel's driver tell. */
  readonly serial: string | null;
  readonly model: string | null;
  readonly namespaces: readonly Namespace[];
  /** "8.0 GT/s PCIe x4": what the drive and its slot can do, not what they do while they sleep. */
  readonly link: string | null;
}

const PCI = '/sys/bus/pci/devices';
/** Class 01 (storage), 08 (NVM), interface 02 (NVMe). */
const NVME_CLASS = '0x010802';
/** VFIO's name of the groups that it makes for devices without an IOMMU. */
const NO_IOMMU_GROUP = 'vfio-noiommu';
/** /sys counts in these whatever the blocks of a drive are. */
const SECTOR = 512;

/** All NVMe drives on PCI, by address. */
export function listDrives(kernel: Kernel): DriveEntry[] {
  const addresses = kernel.names(PCI).filter((address) => kernel.text(`${PCI}/${address}/class`) === NVME_CLASS);
  return addresses.map((address) => describeDrive(kernel, address));
}

function describeDrive(kernel: Kernel, address: string): DriveEntry {
  const folder = `${PCI}/${address}`;
  const [controller] = kernel.names(`${folder}/nvme`);
  const about = `${folder}/nvme/${controller}`;
  const group = kernel.target(`${folder}/iommu_group`);
  const [speed, width] = ['max_link_speed', 'max_link_width'].map((name) => kernel.text(`${folder}/${name}`));
  return {
    address,
    driver: kernel.target(`${folder}/driver`),
    group: group === null ? null : Number(group),
    behindIommu: group !== null && kernel.text(`/sys/kernel/iommu_groups/${group}/name`) !== NO_IOMMU_GROUP,
    serial: controller ? kernel.text(`${about}/serial`) : null,
    model: controller ? kernel.text(`${about}/model`) : null,
    namespaces: controller ? namespacesOf(kernel, controller) : [],
    link: speed && width ? `${speed} x${width}` : null,
  };
}

/** With multipath, a controller has "nvme0c0n1" and the device to use is "nvme0n1". */
function namespacesOf(kernel: Kernel, controller: string): Namespace[] {
  const names = kernel.names(`/sys/class/nvme/${controller}`).flatMap((name) => {
    const parts = /^nvme(\d+)(?:c\d+)?n(\d+)$/.exec(name);
    return parts ? [`nvme${parts[1]}n${parts[2]}`] : [];
  });
  return [...new Set(names)].flatMap((name) => {
    const folder = `/sys/class/block/${name}`;
    const bytes = kernel.number(`${folder}/size`);
    if (bytes === null) return [];
    const partitions = kernel
      .names(folder)
      .filter((child) => kernel.text(`${folder}/${child}/partition`) !== null)
      .map((child) => ({
        name: child,
        start: (kernel.number(`${folder}/${child}/start`) ?? 0) * SECTOR,
        bytes: (kernel.number(`${folder}/${child}/size`) ?? 0) * SECTOR,
      }));
    const id = kernel.number(`${folder}/nsid`) ?? Number(/n(\d+)$/.exec(name)![1]);
    return [{ name, id, start: 0, bytes: bytes * SECTOR, partitions }];
  });
}

/** VFIO's file of a drive's group; null: it has none. */
export function groupNode(drive: DriveEntry): string | null {
  return drive.group === null ? null : `/dev/vfio/${drive.behindIommu ? '' : 'noiommu-'}${drive.group}`;
}

/** Other devices of a drive's IOMMU group that somebody uses. Bridges belong to the path and are no obstacle to VFIO. */
export function liveNeighbours(kernel: Kernel, drive: DriveEntry): { address: string; driver: string }[] {
  const others = kernel.names(`${PCI}/${drive.address}/iommu_group/devices`).filter((one) => one !== drive.address);
  return others.flatMap((address) => {
    const isBridge = kernel.text(`${PCI}/${address}/class`)?.startsWith('0x0604') === true;
    const driver = kernel.target(`${PCI}/${address}/driver`);
    return isBridge || driver === null || driver === 'vfio-pci' || driver === 'pci-stub' ? [] : [{ address, driver }];
  });
}
