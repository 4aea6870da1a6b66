// A terminal as a picture, 80 columns wide.
const COLUMNS = 80;
const [CELL, LINE, MARGIN, BAR] = [8.4, 19, 18, 34];

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** Lines of at most 80 columns, broken between words as a terminal's reader would wish. */
function wrapped(text) {
  return text.split('\n').flatMap((paragraph) => {
    const lines = [''];
    for (const word of paragraph.split(' ')) {
      const line = lines.at(-1);
      if (line !== '' && line.length + 1 + word.length > COLUMNS) lines.push(word);
      else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
    }
    return lines;
  });
}

/** @param run what bench/terminal.mjs keeps: what was typed, stdout and stderr */
export function terminal({ typed, stdout, stderr }) {
  const lines = [
    { text: `$ ${typed}`, colour: '#8be28b' },
    ...wrapped(stdout.trimEnd()).map((text) => ({ text, colour: '#e8e8e8' })),
    ...wrapped(stderr.trim()).map((text) => ({ text, colour: '#9a9a9a' })),
  ];
  const width = Math.round(COLUMNS * CELL + 2 * MARGIN);
  const height = BAR + lines.length * LINE + MARGIN;
  const dots = ['#ff5f56', '#ffbd2e', '#27c93f'].map(
    (colour, index) => `<circle cx="${MARGIN + 6 + 20 * index}" cy="18" r="6" fill="${colour}"/>`,
  );
  const drawn = lines.map(({ text, colour }, index) => {
    const y = BAR + (index + 1) * LINE - 4;
    return `<text x="${MARGIN}" y="${y}" fill="${colour}" xml:space="preserve">${escaped(text)}</text>`;
  });
  const size = `viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="ui-monospace, Menlo, 'DejaVu Sans Mono', monospace" font-size="14">`,
    `<rect width="${width}" height="${height}" rx="8" fill="#1e1e1e"/>`,
    ...dots,
    ...drawn,
    '</svg>\n',
  ].join('\n');
}
