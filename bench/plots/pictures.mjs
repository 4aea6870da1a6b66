// The pictures of docs/pictures that are drawn from bench/results: { file name: SVG }.
import * as Plot from '@observablehq/plot';
import { COLOURS, draw, page } from './canvas.mjs';
import { plannedResults, residentResults, terminalRun, timelines } from './results.mjs';
import { terminal } from './terminal.mjs';

const WIDTH = 900;
const LANES = { compute: 'device', link: 'link', disk: 'disk', cpu: 'CPU' };
const LANE_COLOURS = { device: COLOURS.blue, link: COLOURS.orange, disk: COLOURS.pink, CPU: COLOURS.green };

/** 1, 2, 5, 10 ... of a logarithmic axis, which would call a half "500m". */
function logAxis([least, most], label) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.log10(most); power++) {
    ticks.push(...[1, 2, 5].map((digit) => digit * 10 ** power).filter((tick) => tick >= least && tick <= most));
  }
  const tickFormat = (value) => String(Number(value.toPrecision(1)));
  return { type: 'log', domain: [least, most], label, grid: true, ticks, tickFormat };
}

/** Decode over bytes a token, both logarithmic: a memory's bandwidth is a straight line that falls. */
function roofline() {
  const points = residentResults();
  const places = byPlace(points);
  return page(
    Array.from(places, ([where, own]) => {
      const bandwidth = Math.max(...own.map((point) => point.bandwidth));
      const sorted = own.toSorted((a, b) => a.bytes - b.bytes);
      const gigabytes = own.map(({ bytes }) => bytes / 1e9);
      const [least, most] = [0.7 * Math.min(...gigabytes), 1.6 * Math.max(...gigabytes)];
      const roof = [least, most].map((x) => ({ x, y: bandwidth / 1e9 / x }));
      const picture = draw({
        ...{ width: WIDTH, height: 240, marginLeft: 60, marginRight: 170 },
        x: logAxis([least, most], 'GB of weights read a token'),
        y: logAxis([0.7 * Math.min(...own.map(({ rate }) => rate)), roof[0].y], 'tokens a second'),
        marks: [
          Plot.line(roof, { x: 'x', y: 'y', stroke: COLOURS.grey, strokeWidth: 2 }),
          Plot.dot(own, { x: ({ bytes }) => bytes / 1e9, y: 'rate', fill: COLOURS.blue, r: 4 }),
          // Those above and below in turn: types of nearly the same size lie close together.
          ...[0, 1].map((side) =>
            Plot.text(
              sorted.filter((_, index) => index % 2 === side),
              {
                ...{ x: ({ bytes }) => bytes / 1e9, y: 'rate', textAnchor: side ? 'end' : 'start', dx: side ? -4 : 4 },
                ...{ dy: side ? 14 : -10, fontWeight: 'bold', stroke: 'white', fill: 'black' },
                text: ({ model, share }) => `${model}, ${(100 * share).toFixed(0)} %`,
              },
            ),
          ),
        ],
      });
      return { ...picture, title: `${where}: decode, below plain reads of ${(bandwidth / 1e9).toFixed(0)} GB/s` };
    }),
  );
}

function byPlace(points) {
  const places = new Map();
  for (const point of points) places.set(point.where, [...(places.get(point.where) ?? []), point]);
  return places;
}

function predicted() {
  const points = plannedResults().map((point) => ({ ...point, label: `${point.model}, ${point.where}` }));
  const forecasts = points.filter(({ forecast }) => typeof forecast === 'number');
  const seconds = points.flatMap((point) => [point.predicted, point.forecast ?? point.predicted, point.measured]);
  const domain = [0.7 * Math.min(...seconds), 1.5 * Math.max(...seconds)];
  const ends = domain.map((x) => ({ x, y: x }));
  const picture = draw({
    ...{ width: WIDTH, height: 420, marginLeft: 60, marginRight: 260 },
    x: logAxis(domain, 'predicted seconds a pass'),
    y: logAxis(domain, 'measured seconds a pass'),
    marks: [
      Plot.line(ends, { x: 'x', y: 'y', stroke: COLOURS.grey, strokeDasharray: '4,4' }),
      Plot.dot(points, { x: 'predicted', y: 'measured', fill: COLOURS.blue, r: 4 }),
      Plot.dot(forecasts, { x: 'forecast', y: 'measured', stroke: COLOURS.blue, r: 4 }),
      Plot.text(points, { x: 'predicted', y: 'measured', text: 'label', textAnchor: 'start', dx: 10, dy: 4 }),
    ],
  });
  return page([{ ...picture, title: 'Passes of streamed models: on the dashed line they took as long as predicted' }]);
}

function measuredPasses() {
  return page(
    timelines().map(({ title, seconds, busy, spans }) => {
      const rows = spans
        .map(({ resource, name, begin, end }) => ({
          ...{ lane: LANES[resource], name },
          begin: 1000 * Math.max(0, begin),
          end: 1000 * Math.min(seconds, end),
        }))
        .filter(({ begin, end }) => end > begin);
      const lanes = Object.entries(LANES).filter(([, lane]) => rows.some((row) => row.lane === lane));
      const picture = draw({
        ...{ width: WIDTH, height: 60 + 40 * lanes.length, marginLeft: 70, marginRight: 80 },
        x: { domain: [0, 1000 * seconds], label: 'milliseconds of the pass' },
        y: { domain: lanes.map(([, lane]) => lane), label: null },
        marks: [
          Plot.barX(rows, {
            ...{
              x1: 'begin',
              x2: 'end',
              y: 'lane',
              fill: ({ lane }) => LANE_COLOURS[lane],
              insetLeft: 0.3,
              insetRight: 0.3,
            },
            title: ({ name, begin, end }) => `${name}: ${begin.toFixed(1)} to ${end.toFixed(1)} ms`,
          }),
          Plot.text(lanes, {
            ...{ x: () => 1000 * seconds, y: ([, lane]) => lane, textAnchor: 'start', dx: 6 },
            text: ([resource]) => `${((100 * busy[resource]) / seconds).toFixed(0)} % busy`,
          }),
        ],
      });
      return { ...picture, title };
    }),
  );
}

export const PICTURES = {
  'roofline.svg': roofline,
  'predicted.svg': predicted,
  'timelines.svg': measuredPasses,
  'terminal.svg': () => terminal(terminalRun()),
};
