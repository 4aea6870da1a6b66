import type { GuestParts } from './parts.mjs';

/** Builds the initramfs once; returns its path. */
export function buildInitramfs(parts: GuestParts): string;
/** Builds the disk with node, ntx as it was built, and the scripts of a folder in /ntx/guest; returns its path. */
export function buildPayload(parts: GuestParts, scripts: string): string;
/** Makes an ext4 image of `mib` MiB that holds a folder, `offset` bytes into the file. */
export function makeExt4(image: string, folder: string, mib: number, offset?: number): void;
