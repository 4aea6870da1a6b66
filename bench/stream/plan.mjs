import { pack } from '../../dist/streaming/layout.js';

const ALIGNMENT = 4096;

/** Resident units spread evenly through the pass as far as they fit; of the others every `everyOnDisk`th on disk (0: none). */
export function stridedPlan({ model, gguf }, { residentBytes, slots, staging, everyOnDisk, hostIsDevice }) {
  const packed = model.units.map(({ tensors }) => pack(tensors).bytes);
  const total = packed.reduce((sum, bytes) => sum + bytes, 0);
  const slotBytes = Math.max(...packed);
  const share = Math.max(0, Math.min(1, (residentBytes - (hostIsDevice ? 0 : slots * slotBytes)) / total));
  let owed = 0;
  let streamed = 0;
  const tiers = packed.map((bytes) => {
    owed += share * bytes;
    if (owed >= bytes || share === 1) {
      owed -= bytes;
      return 'device';
    }
    return hostIsDevice || (everyOnDisk > 0 && ++streamed % everyOnDisk === 0) ? 'disk' : 'host-copy';
  });
  const extents = model.units.map(({ tensors }) => extentsOf(tensors, gguf.files));
  const stagingBytes = Math.max(...extents.flat().map(({ at, bytes }) => at + bytes));
  let turn = 0;
  let read = 0;
  const transfers = tiers.flatMap((tier, unit) => {
    if (tier === 'device') return [];
    const isRead = tier === 'disk';
    return {
      unit,
      slot: hostIsDevice ? null : turn++ % slots,
      staging: isRead ? read++ % staging : null,
      extents: isRead ? extents[unit] : [],
    };
  });
  return {
    tiers,
    slots: transfers.length > 0 && !hostIsDevice ? new Array(slots).fill(slotBytes) : [],
    staging: tiers.includes('disk') ? new Array(staging).fill(stagingBytes) : [],
    schedules: [{ maxRows: Number.POSITIVE_INFINITY, transfers, onCpu: [] }],
  };
}

/** One aligned read for each tensor, but for the last bytes of a file. */
function extentsOf(tensors, files) {
  let at = 0;
  return tensors.map(({ file, offset, bytes }) => {
    const begin = Math.floor(offset / ALIGNMENT) * ALIGNMENT;
    const end = Math.min(Math.ceil((offset + bytes) / ALIGNMENT) * ALIGNMENT, files[file].bytes);
    const extent = { file, offset: begin, bytes: end - begin, at };
    at += Math.ceil(extent.bytes / ALIGNMENT) * ALIGNMENT;
    return extent;
  });
}
