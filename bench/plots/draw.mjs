// Draws docs/pictures from bench/results.
//
//   npm run plots
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PICTURES } from './pictures.mjs';

const folder = fileURLToPath(new URL('../../docs/pictures', import.meta.url));
mkdirSync(folder, { recursive: true });
for (const [name, picture] of Object.entries(PICTURES)) {
  writeFileSync(join(folder, name), picture());
  console.log(`docs/pictures/${name}`);
}
