import { pack } from '../../dist/streaming/layout.js';

/**
 * Attention and the output head resident, feed-forward units as far as they fit, evenly spread; the others in RAM, where the CPU
 * computes them as well. Without room for attention the first of it is streamed.
 */
export function placement({ model }, { residentBytes, slots }) {
  const packed = model.units.map(({ tensors }) => pack(tensors).bytes);
  const isFeedForward = model.units.map(({ ops }) => ops[1].kind === 'gated-matmul');
  const slotBytes = Math.max(...packed.filter((_, unit) => isFeedForward[unit]));
  let room = residentBytes - slots * slotBytes;
  const tiers = packed.map((bytes, unit) => {
    if (isFeedForward[unit]) return 'host-compute';
    room -= bytes;
    return 'device';
  });
  if (room < 0) throw new Error('attention and the output head do not fit: give it more --vram');
  const candidates = tiers.flatMap((tier, unit) => (tier === 'host-compute' ? unit : []));
  const fit = Math.min(candidates.length, Math.floor(room / slotBytes));
  for (const unit of spread(candidates, fit)) tiers[unit] = 'device';
  return { tiers, slots: new Array(slots).fill(slotBytes), staging: [] };
}

/** Passes that compute this share of the units in RAM on the CPU, evenly spread, and stream the others. */
export function schedule({ tiers, slots }, share, maxRows) {
  const inHost = tiers.flatMap((tier, unit) => (tier === 'host-compute' ? unit : []));
  const onCpu = spread(inHost, Math.round(share * inHost.length));
  const transfers = inHost
    .filter((unit) => !onCpu.includes(unit))
    .map((unit, turn) => ({ unit, slot: turn % slots.length, staging: null, extents: [] }));
  return { maxRows, transfers, onCpu };
}

function spread(list, count) {
  return Array.from({ length: count }, (_, i) => list[Math.floor(((i + 0.5) * list.length) / count)]);
}
