import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ERRORS } from '@voice-fleet/protocol/errors';
import { Fleet, KEY } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

const { message } = ERRORS.authentication_failed;

async function expectRejected(client: YapSocket): Promise<void> {
  expect(await client.closed).toEqual({ code: 1008, reason: message });
  expect(client.received).toEqual([
    {
      type: 'error',
      session_id: 'unknown',
      request_id: 'unknown',
      payload: {
        code: 'authentication_failed',
        message,
        details: { reason_code: 'authentication_failed' },
      },
    },
  ]);
}

describe('the key of a client', () => {
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 2 })]);
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  it.each([
    ['the right one in the query (Y3)', { query: `?api_key=${KEY}` }],
    ['the right one in the query among others (Y3)', { query: `?a=1&api_key=${KEY}&b=2` }],
    ['the right one in the header (Y4)', { query: '', headers: { 'X-API-Key': KEY } }],
    [
      'an empty one in the query, the right one in the header (Y4)',
      { query: '?api_key=', headers: { 'x-api-key': KEY } },
    ],
    [
      'the right one in the query, a wrong one in the header (Y3)',
      { query: `?api_key=${KEY}`, headers: { 'X-API-Key': 'wrong' } },
    ],
  ])('lets in %s', async (_, options) => {
    const client = fleet.dial(options);
    await client.next('session.created');
    client.send('end', 'bye');
    expect(await client.closed).toEqual({ code: 1000, reason: '' });
  });

  it.each([
    ['no key (Y3)', { query: '' }],
    ['an empty one (Y3)', { query: '?api_key=' }],
    ['a wrong one (Y3)', { query: '?api_key=wrong' }],
    ['the beginning of the right one (Y3)', { query: `?api_key=${KEY.slice(0, -1)}` }],
    ['the right one and more (Y3)', { query: `?api_key=${KEY}x` }],
    ['one of another case (Y3)', { query: `?api_key=${KEY.toUpperCase()}` }],
    ['the right one under another name (Y3)', { query: `?apikey=${KEY}` }],
    ['a wrong one in the header (Y4)', { query: '', headers: { 'X-API-Key': 'wrong' } }],
    [
      'a wrong one in the query, the right one in the header (Y4)',
      { query: '?api_key=wrong', headers: { 'X-API-Key': KEY } },
    ],
    [
      'the right one as a bearer token (Y4)',
      { query: '', headers: { Authorization: `Bearer ${KEY}` } },
    ],
  ])('rejects %s with one error frame and 1008', async (_, options) => {
    await expectRejected(fleet.dial(options));
  });

  it('rejected costs no slot, even when frames come with it (Y3)', async () => {
    const free = async (): Promise<boolean> => (await fleet.get('/readyz')).body['leased'] === 0;
    await until(free, 'the sessions of other tests are over');
    const rejected = Array.from({ length: 5 }, () => fleet.dial({ query: '?api_key=wrong' }));
    for (const client of rejected) {
      client.socket.once('open', () => client.start('early'));
      await expectRejected(client);
    }
    const [one, two] = await Promise.all([fleet.client(), fleet.client()]);
    expect(await fleet.metrics()).toMatch(/sessions_active\{protocol="yap"\} 2\n/);
    one.terminate();
    two.terminate();
  });
});

describe('a server without a key', () => {
  it('rejects everyone, with or without a key (Y5)', async () => {
    await using fleet = await Fleet.start([new ScriptedEngine()], { VOXTRAL_API_KEY: '' });
    for (const options of [
      { query: '' },
      { query: '?api_key=' },
      { query: `?api_key=${KEY}` },
      { query: '', headers: { 'X-API-Key': '' } },
      { query: '', headers: { 'X-API-Key': KEY } },
    ])
      await expectRejected(fleet.dial(options));
  });
});
