import { expect, test } from 'vitest';
import { readerFinding } from '../../src/cli/doctor-reader.js';

test('doctor says how files are read, and how to get the other way', () => {
  expect(readerFinding({ unavailable: '', library: '2.3' })).toMatchObject({
    state: 'ok',
    found: expect.stringMatching(/^io_uring or pread/),
  });
  const unbuilt = readerFinding({ unavailable: 'ntx was built without liburing', library: '' });
  expect(unbuilt).toMatchObject({ state: 'note', found: expect.stringMatching(/liburing-dev.*npm run build:native/) });
  const refused = readerFinding({ unavailable: 'the system refuses it: Operation not permitted', library: '2.3' });
  expect(refused).toMatchObject({ state: 'note', found: expect.stringMatching(/Operation not permitted.*seccomp/) });
  expect(readerFinding(null)).toMatchObject({ state: 'note', found: expect.stringMatching(/Node's own files/) });
});
