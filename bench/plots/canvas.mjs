// Observable Plot on a document made of software, and its pictures as files: numbers rounded, so that a picture depends on nothing
// but the results.
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

const { document } = parseHTML('<!doctype html><html><body></body></html>');

/** Okabe and Ito's colours, which people with colour blindness tell apart: as src/placement/picture.ts has them. */
export const COLOURS = { blue: '#0072b2', orange: '#e69f00', green: '#009e73', pink: '#cc79a7', grey: '#999999' };

/** An svg element with its size. */
export function draw(options) {
  const element = Plot.plot({ document, className: 'plot', style: { fontSize: '12px' }, ...options });
  const [width, height] = ['width', 'height'].map((name) => Number(element.getAttribute(name)));
  return { element, width, height };
}

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** Pictures below each other, each under its heading, as an SVG document. */
export function page(pictures) {
  const HEADING = 44;
  const width = Math.max(...pictures.map((picture) => picture.width));
  let top = 0;
  const parts = pictures.map(({ element, title, height }) => {
    element.setAttribute('x', 0);
    element.setAttribute('y', top + HEADING);
    // Its rules are for pages, where pictures grow and shrink; within a picture they would move things.
    for (const style of element.querySelectorAll('style')) style.remove();
    const heading = `<text x="16" y="${top + 26}" font-size="15" font-weight="bold">${escaped(title)}</text>`;
    top += HEADING + height;
    return heading + element.outerHTML;
  });
  const svg = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${top}" width="${width}" height="${top}" font-family="sans-serif">`,
    `<rect width="${width}" height="${top}" fill="#ffffff"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
  return svg.replace(/-?\d+\.\d{3,}(e-?\d+)?/g, (number) => String(Number(Number(number).toFixed(2))));
}
