// A pass as a picture: one row a resource over the time of a pass, and the layers coloured by tier. SVG as text: the few shapes
// that it takes need no library, and those that draw charts want a DOM.
import type { Resource, Tier } from './plan.js';

/** Something that a resource did, in seconds since the pass began; below 0: during the pass before. */
export interface Span {
  readonly begin: number;
  readonly end: number;
  /** Index into `Picture.units`; null for what belongs to none. */
  readonly unit: number | null;
  /** Shown under the pointer instead of the unit's name. */
  readonly label?: string;
}

export interface Lane {
  /** "link", "disk 2" */
  readonly name: string;
  /** Share of the pass that it works. */
  readonly busy: number;
  /** It is what the pass takes as long as. */
  readonly isBound: boolean;
  readonly spans: readonly Span[];
}

export interface Picture {
  readonly title: string;
  readonly subtitle: string;
  /** Of the pass. */
  readonly seconds: number;
  readonly lanes: readonly Lane[];
  readonly units: readonly { readonly name: string; readonly bytes: number; readonly tier: Tier }[];
}

export const RESOURCE_NAMES: Readonly<Record<Resource, string>> = {
  compute: 'device',
  link: 'link',
  disk: 'disk',
  cpu: 'CPU',
  'host-memory': 'host memory',
};

/** Okabe and Ito's colours, which people with colour blindness tell apart. */
const COLOURS: Readonly<Record<Tier, string>> = {
  device: '#0072b2',
  'host-copy': '#e69f00',
  'host-compute': '#009e73',
  disk: '#cc79a7',
};
const OTHER = '#999999';

const WIDTH = 1200;
const LEFT = 110;
const RIGHT = 90;
const PLOT = WIDTH - LEFT - RIGHT;
const LANE_HEIGHT = 26;
const LANE_STEP = 36;
const TOP = 84;
const STRIP_HEIGHT = 22;
const TICKS = 8;
/** Between spans that follow each other at once. */
const GAP = 0.4;
/** Narrower spans would vanish. */
const LEAST_WIDTH = 0.6;

/** An SVG document. */
export function drawSvg(picture: Picture): string {
  const lanesEnd = TOP + picture.lanes.length * LANE_STEP;
  const stripTop = lanesEnd + 56;
  const height = stripTop + 2 * STRIP_HEIGHT + 34;
  const body = [
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(LEFT, 26, picture.title, 'font-size="16" font-weight="bold"'),
    text(LEFT, 46, picture.subtitle, 'font-size="12" fill="#444444"'),
    legend(),
    ...axis(picture.seconds, lanesEnd),
    ...picture.lanes.flatMap((lane, index) => drawLane(lane, TOP + index * LANE_STEP, picture)),
    ...drawUnits(picture, stripTop),
  ];
  const head = `xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"`;
  return `<svg ${head} font-family="sans-serif" font-size="12">\n${body.join('\n')}\n</svg>\n`;
}

function legend(): string {
  return Object.entries({ ...COLOURS, other: OTHER })
    .map(([name, colour], index) => {
      const x = LEFT + index * 130;
      return `${rect(x, 56, 12, 12, colour)}${text(x + 18, 66, name)}`;
    })
    .join('\n');
}

function axis(seconds: number, bottom: number): string[] {
  const step = niceStep(seconds / TICKS);
  const lines: string[] = [];
  for (let tick = 0; tick * step <= seconds * 1.000001; tick++) {
    const x = LEFT + (PLOT * tick * step) / seconds;
    lines.push(`<line x1="${round(x)}" y1="${TOP - 6}" x2="${round(x)}" y2="${bottom}" stroke="#dddddd"/>`);
    lines.push(text(x, bottom + 16, milliseconds(tick * step), 'text-anchor="middle" fill="#444444"'));
  }
  return lines;
}

/** 1, 2 or 5 times a power of ten, not below `least`. */
export function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5].find((digit) => digit * power >= least) ?? 10);
}

function milliseconds(seconds: number): string {
  return `${Number((1e3 * seconds).toPrecision(4))} ms`;
}

function drawLane(lane: Lane, y: number, picture: Picture): string[] {
  const middle = y + LANE_HEIGHT / 2 + 4;
  const weight = lane.isBound ? 'font-weight="bold"' : '';
  const shapes = [
    rect(LEFT, y, PLOT, LANE_HEIGHT, '#f4f4f4'),
    text(LEFT - 8, middle, lane.name, `text-anchor="end" ${weight}`),
    text(LEFT + PLOT + 8, middle, `${Math.round(100 * lane.busy)} %${lane.isBound ? ' bound' : ''}`, weight),
  ];
  for (const span of lane.spans) {
    // What was done during the pass before is drawn where this pass does the same for the next one.
    for (const shift of [0, picture.seconds]) {
      const begin = Math.max(0, span.begin + shift);
      const end = Math.min(picture.seconds, span.end + shift);
      if (end <= begin || (shift > 0 && span.begin >= 0)) continue;
      const unit = span.unit === null ? null : picture.units[span.unit];
      const name = span.label ?? unit?.name ?? 'beside the units';
      const x = LEFT + (PLOT * begin) / picture.seconds;
      const width = Math.max(LEAST_WIDTH, (PLOT * (end - begin)) / picture.seconds - GAP);
      const title = `${name}: ${milliseconds(span.begin)} to ${milliseconds(span.end)}`;
      shapes.push(rect(x, y + 2, width, LANE_HEIGHT - 4, unit ? COLOURS[unit.tier] : OTHER, title));
    }
  }
  return shapes;
}

/** Attention above, feed-forward below, as units come in turn; the output head is the last of the upper row. */
function drawUnits({ units }: Picture, top: number): string[] {
  const columns = Math.ceil(units.length / 2);
  const width = PLOT / columns;
  const shapes = [
    text(LEFT - 8, top + 15, 'attention', 'text-anchor="end"'),
    text(LEFT - 8, top + STRIP_HEIGHT + 17, 'feed-forward', 'text-anchor="end"'),
    text(LEFT, top + 2 * STRIP_HEIGHT + 20, 'layer by layer, the output head last', 'fill="#444444"'),
  ];
  units.forEach(({ name, bytes, tier }, index) => {
    const x = LEFT + Math.floor(index / 2) * width;
    const y = top + (index % 2) * (STRIP_HEIGHT + 2);
    const title = `${name}: ${tier}, ${(bytes / 2 ** 20).toFixed(1)} MiB`;
    shapes.push(rect(x, y, Math.max(1, width - 1), STRIP_HEIGHT, COLOURS[tier], title));
  });
  return shapes;
}

/** A page around pictures, with a table of text below each: no script, nothing from elsewhere. */
export function drawHtml(title: string, pictures: readonly Picture[], notes: string): string {
  const drawn = pictures.map((picture) => `<figure>${drawSvg(picture)}</figure>`).join('\n');
  const style =
    'body{font-family:sans-serif;margin:2em}pre{background:#f4f4f4;padding:1em;overflow:auto}figure{margin:0 0 2em}';
  return [
    '<!doctype html>',
    `<html lang="en"><meta charset="utf-8"><title>${escaped(title)}</title><style>${style}</style>`,
    `<body><h1>${escaped(title)}</h1>\n${drawn}\n<pre>${escaped(notes)}</pre></body></html>\n`,
  ].join('\n');
}

function rect(x: number, y: number, width: number, height: number, colour: string, title?: string): string {
  const place = `x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${height}" fill="${colour}"`;
  return title === undefined ? `<rect ${place}/>` : `<rect ${place}><title>${escaped(title)}</title></rect>`;
}

function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${round(x)}" y="${y}" ${attributes}>${escaped(content)}</text>`;
}

function round(value: number): number {
  return Number(value.toFixed(2));
}

function escaped(content: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return content.replace(/[&<>"]/g, (character) => entities[character]);
}
