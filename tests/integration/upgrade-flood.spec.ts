import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import fc from 'fast-check';
import { Fleet, KEY } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { stopwatch } from '../support/stopwatch.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

const HEADERS_TIMEOUT_S = 0.5;
/** The time itself, how often it is looked at, and a busy machine. */
const GONE_MS = 3_000;
const PATH = '/api/asr-streaming';
const CRLF = '\r\n';

let fleet: Fleet;
let sockets: Socket[] = [];

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
});

interface Raw {
  readonly socket: Socket;
  /** All that the server has said so far. */
  text(): string;
  /** Settles with all that the server has said when it has closed. */
  readonly closed: Promise<string>;
}

/** A client that says what it is told to, and lets the server close. */
async function raw(...said: (string | Buffer)[]): Promise<Raw> {
  const socket = connect(fleet.gateways[0]?.port ?? 0, '127.0.0.1');
  sockets.push(socket);
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  socket.on('error', () => undefined);
  const closed = once(socket, 'close').then(() => text);
  await once(socket, 'connect');
  for (const part of said) socket.write(part);
  return { socket, text: () => text, closed };
}

const UPGRADE = [
  'Host: x',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];
const upgrade = (query: string): string =>
  [`GET ${PATH}${query} HTTP/1.1`, ...UPGRADE, '', ''].join(CRLF);

/** Says something on a session and expects to be understood. */
async function expectHeard(client: YapSocket, utterance: string): Promise<void> {
  const words = range(1, 5);
  client.say(utterance, speak(words));
  const final = await client.next('final');
  expect([final.request_id, final.payload.normalized_text]).toEqual([utterance, transcript(words)]);
}

describe('clients that never finish a request', () => {
  beforeAll(async () => {
    fleet = await Fleet.start([new ScriptedEngine()], {
      HTTP_HEADERS_TIMEOUT_S: String(HEADERS_TIMEOUT_S),
    });
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  const HALVES: [string, string][] = [
    ['nothing at all', ''],
    ['half a request line', 'GET /api/asr-str'],
    ['half the headers of an upgrade', upgrade('').slice(0, 90)],
    ['a header that has no end', `GET / HTTP/1.1${CRLF}X: ${'x'.repeat(9_000)}`],
    ['half a body', `POST /v1/tokens HTTP/1.1${CRLF}Content-Length: 9${CRLF}${CRLF}{`],
  ];

  it('are gone in time, 500 of them, and nobody else notices', async () => {
    const client = await fleet.client();
    const took = stopwatch();
    const halves = await Promise.all(
      range(0, 499).map((nth) => raw(HALVES[nth % HALVES.length]?.[1] ?? '')),
    );
    const drip = setInterval(() => {
      for (const { socket } of halves) if (socket.writable) socket.write('x');
    }, 100);
    await expectHeard(client, 'meanwhile');
    await expectHeard(await fleet.client(), 'newcomer');
    expect((await fleet.get('/readyz')).body['leased']).toBe(2);
    await Promise.all(halves.map(({ closed }) => closed));
    clearInterval(drip);
    expect(took()).toBeLessThan(HEADERS_TIMEOUT_S * 3_000 + GONE_MS);
    await expectHeard(client, 'afterwards');
  });

  it('are told 408, and 431 for 16 KiB of headers', async () => {
    const slow = await raw('GET / HTTP/1.1\r\nHost: x\r\n');
    expect(await slow.closed).toMatch(/^HTTP\/1\.1 408 /);
    const large = await raw(`GET / HTTP/1.1\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`);
    expect(await large.closed).toMatch(/^HTTP\/1\.1 431 /);
  });
});

describe('more clients than a gateway takes', () => {
  afterEach(() => fleet[Symbol.asyncDispose]());

  it('are told 503 while too many are not admitted yet, and let in as soon as these have gone', async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 2 })], { WS_MAX_PENDING: '3' });
    // Two take their slots; the others wait in line for one, each on an open socket that is not admitted.
    const admitted = [await fleet.client(), await fleet.client()];
    const waiting = range(1, 3).map(() => fleet.dial({ query: `?api_key=${KEY}&wait=60` }));
    for (const client of waiting) await client.next('status');
    const answers = await Promise.all(
      range(1, 50).map(async () => (await raw(upgrade('?api_key=x'))).closed),
    );
    for (const answer of answers) {
      expect(answer).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/);
      expect(Number(/\r\nRetry-After: (\d+)\r\n/.exec(answer)?.[1])).toBeLessThanOrEqual(60);
      const { error } = JSON.parse(answer.slice(answer.indexOf('{'))) as {
        error: { code: string };
      };
      expect(error.code).toBe('fleet_unavailable');
    }
    const page = await fleet.metrics();
    expect(page).toContain('upgrades_refused_total{reason="too_many_pending"} 50\n');
    expect(page).toContain('voice_gateway_connections{state="pending"} 3\n');
    expect(page).toContain('voice_gateway_connections{state="admitted"} 2\n');
    await expectHeard(admitted[0] as YapSocket, 'meanwhile');
    waiting[0]?.terminate();
    await until(
      async () => (await fleet.metrics()).includes('connections{state="pending"} 2\n'),
      'one has gone',
    );
    const late = await raw(upgrade('?api_key=x'));
    expect(await late.closed).toMatch(/^HTTP\/1\.1 101 /);
  });

  it('are told 503 above the most connections, admitted ones included', async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 4 })], { WS_MAX_CONNECTIONS: '2' });
    const [first] = [await fleet.client(), await fleet.client()];
    expect(await (await raw(upgrade(`?api_key=${KEY}`))).closed).toMatch(/^HTTP\/1\.1 503 /);
    expect((await fleet.get('/readyz')).status).toBe(200);
    first?.terminate();
    await until(
      async () => (await fleet.metrics()).includes('connections{state="admitted"} 1\n'),
      'one has gone',
    );
    await expectHeard(await fleet.client(), 'next');
  });
});

describe('requests of any kind', () => {
  beforeAll(async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 2 })], {
      HTTP_HEADERS_TIMEOUT_S: '0.2',
    });
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  const text = fc.string({ unit: 'binary-ascii', maxLength: 40 });
  const path = fc.oneof(
    fc.constantFrom(
      PATH,
      `${PATH}?api_key=x`,
      `${PATH}?resume_token=x&last_seq=-1`,
      '/',
      '//',
      '*',
    ),
    fc.constantFrom('/readyz', '/v1/usage', '/admin/v1/tenants', '/v1/tokens', `http://x${PATH}`),
    fc.webPath(),
    text,
  );
  const header = fc.oneof(
    fc.constantFrom(...UPGRADE),
    fc.constantFrom('Upgrade: h2c', 'Upgrade: WebSocket, h2c', 'Connection: keep-alive, Upgrade'),
    fc.constantFrom(
      'Sec-WebSocket-Version: 12',
      'Sec-WebSocket-Key: short',
      'Expect: 100-continue',
    ),
    fc.constantFrom(
      'Sec-WebSocket-Protocol: a,,b',
      'Sec-WebSocket-Extensions: permessage-deflate; x',
    ),
    fc.constantFrom('Content-Length: 5', 'Content-Length: -1', 'Transfer-Encoding: chunked'),
    fc.tuple(text, text).map(([name, value]) => `${name}: ${value}`),
    text,
  );
  const written = fc
    .record({
      method: fc.oneof(fc.constantFrom('GET', 'POST', 'HEAD', 'CONNECT', 'OPTIONS', 'get'), text),
      path,
      version: fc.oneof(fc.constantFrom('HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0'), text),
      headers: fc.oneof(
        fc.array(header, { maxLength: 12 }),
        fc.array(header, { maxLength: 3 }).map((more) => [...UPGRADE, ...more]),
      ),
    })
    .map(({ method, path, version, headers }) =>
      Buffer.from([`${method} ${path} ${version}`, ...headers, '', ''].join(CRLF), 'latin1'),
    );
  const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
    fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
  /** Parts as they are written, and whether the client hangs up then. */
  const conversation = fc.record({
    parts: fc.oneof(
      fc.tuple(written, bytes(300)),
      fc.tuple(written, written),
      fc.tuple(bytes(600)),
      fc.tuple(written, fc.nat({ max: 200 })).map(([all, at]) => [all.subarray(0, at)]),
    ),
    hangUp: fc.constantFrom('not', 'end', 'reset'),
  });

  it('are answered or closed in bounded time, and a session goes on beside them', async () => {
    const client = await fleet.client();
    let rounds = 0;
    let answered = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(conversation, { minLength: 30, maxLength: 30 }), async (all) => {
        const over = all.map(async ({ parts, hangUp }) => {
          const { socket, closed, text: said } = await raw(...parts);
          if (hangUp === 'end') socket.end();
          if (hangUp === 'reset') socket.resetAndDestroy();
          await until(() => said() !== '' || socket.destroyed, 'it is answered', GONE_MS);
          if (said() !== '') answered += 1;
          socket.destroy();
          await closed;
        });
        await Promise.all(over);
        rounds += 1;
        await expectHeard(client, `round-${rounds}`);
      }),
      { numRuns: 12, endOnFailure: true },
    );
    expect(answered).toBeGreaterThan(100);
    await until(
      async () => (await fleet.metrics()).includes('connections{state="pending"} 0\n'),
      'no socket is left behind',
    );
    expect(await fleet.metrics()).toContain('connections{state="admitted"} 1\n');
    expect((await fleet.get('/readyz')).body['leased']).toBe(1);
  });
});
