export interface GuestParts {
  readonly qemu: string;
  /** Folders, joined by colons. */
  readonly libraries: string;
  /** Folders, joined by colons. */
  readonly firmware: string;
  readonly busybox: string;
  readonly kernel: string;
  readonly modules: string;
  /** Modules by name that take the place of the kernel's own. */
  readonly rebuilt?: Readonly<Record<string, string>>;
}

/** The folder of everything for the guest, build/guest. */
export const GUEST: string;
/** Why there can be no emulated machine on this computer; null: nothing is known that stands in its way. */
export function guestObstacle(): string | null;
/** Where the parts lie, after they were fetched. Throws an Error with the reason where they cannot be had. */
export function guestParts(): GuestParts;
