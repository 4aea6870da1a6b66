import type { GuestParts } from './parts.mjs';

/** As guestParts(), of a kernel whose VFIO has a mode without an IOMMU. Throws an Error with the reason where it cannot be had. */
export function noIommuParts(): GuestParts;
