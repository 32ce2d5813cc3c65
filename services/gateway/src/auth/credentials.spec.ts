import { expect, it } from '@jest/globals';
import { credentialOf } from './credentials.ts';

it.each([
  [{ 'x-api-key': 'a' }, 'a'],
  [{ authorization: 'Bearer b' }, 'b'],
  [{ authorization: 'bearer  b ' }, 'b'],
  [{ 'x-api-key': 'a', authorization: 'Bearer b' }, 'a'],
  [{ 'x-api-key': '', authorization: 'Bearer b' }, 'b'],
  [{ authorization: 'Basic b' }, ''],
  [{ authorization: 'Bearer b c' }, ''],
  [{ authorization: 'Bearer ' }, ''],
  [{}, ''],
])('finds the key of %j', (headers, key) => {
  expect(credentialOf(headers)).toBe(key);
});
