// Stands for the package `vitest` on a GPU host without network: the parts of it that test files use, which are small.
import { ASYMMETRIC_MATCHERS_OBJECT, JestAsymmetricMatchers, JestChaiExpect, JestExtend } from '@vitest/expect';
import * as chai from 'chai';

for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(plugin);

export const expect = Object.assign(
  (value, message) => chai.expect(value, message),
  globalThis[ASYMMETRIC_MATCHERS_OBJECT],
  chai.expect,
);
export { afterAll, afterEach, beforeAll, beforeEach, describe, it, test } from '@vitest/runner';
