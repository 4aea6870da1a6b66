// Draws the tables of README.md and docs/ anew from bench/results, and corrects the figures that link there.
//
//   npm run figures
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { documents, readDocument, refreshed, root } from './documents.mjs';

for (const path of documents()) {
  const before = readDocument(path);
  const after = refreshed(before);
  if (after === before) continue;
  writeFileSync(join(root, path), after);
  console.log(`${path} is changed`);
}
