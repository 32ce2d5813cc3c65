import { describe, expect, it } from '@jest/globals';
import { credentialOf, credentialOfUpgrade } from './credentials.ts';

it.each([
  [{ 'x-api-key': 'a' }, 'a'],
  [{ authorization: 'Bearer b' }, 'b'],
  [{ authorization: 'bearer  b ' }, 'b'],
  [{ authorization: 'Token t' }, 't'],
  [{ 'x-api-key': 'a', authorization: 'Bearer b' }, 'a'],
  [{ 'x-api-key': '', authorization: 'Bearer b' }, 'b'],
  [{ authorization: 'Token b' }, 'b'],
  [{ authorization: 'b' }, 'b'],
  [{ 'xi-api-key': 'a' }, 'a'],
  [{ 'api-key': 'a' }, 'a'],
  [{ authorization: 'Basic b' }, ''],
  [{ authorization: 'Bearer b c' }, ''],
  [{ authorization: 'Bearer ' }, ''],
  [{}, ''],
])('finds the key of %j', (headers, key) => {
  expect(credentialOf(headers)).toBe(key);
});

describe('credentialOfUpgrade', () => {
  it.each([
    [{ authorization: 'Bearer k' }],
    [{ authorization: 'Token k' }],
    [{ authorization: 'k' }],
    [{ 'x-api-key': 'k' }],
    [{ 'xi-api-key': 'k' }],
    [{ 'api-key': 'k' }],
    [{ 'sec-websocket-protocol': 'token, k' }],
    [{ 'sec-websocket-protocol': 'bearer,k' }],
    [{ 'sec-websocket-protocol': 'realtime, openai-insecure-api-key.k, openai-project.p' }],
  ])('finds the key in %j', (headers) => {
    expect(credentialOfUpgrade(new URLSearchParams('token=q'), headers)).toBe('k');
  });

  it.each(['token=k', 'api_key=k'])('finds it in ?%s', (query) => {
    expect(credentialOfUpgrade(new URLSearchParams(query), {})).toBe('k');
  });

  it.each([[{}], [{ authorization: 'Basic a b' }], [{ 'sec-websocket-protocol': 'token' }]])(
    'finds none in %j',
    (headers) => {
      expect(credentialOfUpgrade(new URLSearchParams(), headers)).toBe('');
    },
  );
});
