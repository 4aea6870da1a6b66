import { describe, expect, test } from 'vitest';
import { drawHtml, drawSvg, niceStep, type Picture } from '../../src/placement/picture.js';

const PICTURE: Picture = {
  title: 'A model on <a> & "b"',
  subtitle: 'A pass',
  seconds: 0.1,
  lanes: [
    { name: 'device', busy: 0.5, isBound: false, spans: [{ begin: 0, end: 0.05, unit: 0 }] },
    {
      name: 'link',
      busy: 0.99,
      isBound: true,
      spans: [
        { begin: -0.02, end: 0.01, unit: 1 },
        { begin: 0.01, end: 0.08, unit: 2, label: 'a copy' },
        { begin: 0.09, end: 0.0900001, unit: null },
      ],
    },
  ],
  units: [
    { name: 'layer 0 attention', bytes: 2 ** 20, tier: 'device' },
    { name: 'layer 0 feed-forward', bytes: 2 ** 21, tier: 'host-copy' },
    { name: 'output', bytes: 2 ** 22, tier: 'disk' },
  ],
};

interface Rect {
  readonly x: number;
  readonly width: number;
  readonly fill: string;
  readonly title: string;
}

/** Rectangles that say what they are. */
function titled(svg: string): Rect[] {
  const pattern = /<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="\d+" fill="(#\w+)"><title>([^<]*)<\/title>/g;
  return Array.from(svg.matchAll(pattern), ([, x, width, fill, title]) => {
    return { x: Number(x), width: Number(width), fill, title };
  });
}

describe('the picture of a pass', () => {
  const svg = drawSvg(PICTURE);
  const rects = titled(svg);

  test('every span is where its time is, in the colour of its tier', () => {
    const device = rects.find(({ title }) => title === 'layer 0 attention: 0 ms to 50 ms')!;
    // The plot is 1000 wide and begins at 110.
    expect([device.x, Math.round(device.width), device.fill]).toEqual([110, 500, '#0072b2']);
    const copy = rects.find(({ title }) => title === 'a copy: 10 ms to 80 ms')!;
    expect([copy.x, Math.round(copy.width), copy.fill]).toEqual([210, 700, '#cc79a7']);
    const other = rects.find(({ title }) => title.startsWith('beside the units'))!;
    expect([other.x, other.fill]).toEqual([1010, '#999999']);
    expect(other.width).toBeGreaterThan(0.5);
  });

  test('what was prefetched is drawn twice: at the beginning, and where this pass does it for the next', () => {
    const both = rects.filter(({ title }) => title === 'layer 0 feed-forward: -20 ms to 10 ms');
    expect(both.map(({ x }) => x)).toEqual([110, 910]);
    expect(both.map(({ width }) => Math.round(width))).toEqual([100, 200]);
  });

  test('nothing lies outside of the plot', () => {
    for (const { x, width } of rects) expect(x >= 110 && x + width <= 1111, `${x} ${width}`).toBe(true);
  });

  test('units are coloured by tier, and say their bytes', () => {
    const names = rects.map(({ title }) => title).filter((title) => title.includes('MiB'));
    expect(names).toEqual([
      'layer 0 attention: device, 1.0 MiB',
      'layer 0 feed-forward: host-copy, 2.0 MiB',
      'output: disk, 4.0 MiB',
    ]);
  });

  test('the bound is told, and text is escaped', () => {
    expect(svg).toContain('>99 % bound<');
    expect(svg).toContain('A model on &lt;a&gt; &amp; &quot;b&quot;');
    // Every element that is opened is closed.
    const opened = [...svg.matchAll(/<(svg|text|rect|title)\b[^>]*(?<!\/)>/g)].length;
    expect([...svg.matchAll(/<\/(svg|text|rect|title)>/g)].length).toBe(opened);
  });

  test('a page holds pictures and text, and loads nothing', () => {
    const page = drawHtml('Plan <1>', [PICTURE, PICTURE], 'a < b');
    expect([...page.matchAll(/<svg /g)].length).toBe(2);
    expect(page).toContain('<title>Plan &lt;1&gt;</title>');
    expect(page).toContain('<pre>a &lt; b</pre>');
    expect(page.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|<script/);
  });
});

test('steps of the axis are 1, 2 or 5 times a power of ten', () => {
  expect([0.011, 0.02, 0.021, 0.06, 1, 3.1].map(niceStep).map((step) => Number(step.toPrecision(3)))).toEqual([
    0.02, 0.02, 0.05, 0.1, 1, 5,
  ]);
});
