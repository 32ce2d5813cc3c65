import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, it } from '@jest/globals';
import { VllmModels, VllmVersion } from '@voice-fleet/protocol/vllm-realtime';
import { range, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { FakeVllm } from '@voice-fleet/testkit/fake-vllm/fake-vllm';
import { AT_DONE, type CloseCode } from '@voice-fleet/testkit/fake-vllm/faults';
import type { FakeVllmOptions } from '@voice-fleet/testkit/fake-vllm/options';
import { RawClient } from '@voice-fleet/testkit/fake-vllm/raw-client';

const started: FakeVllm[] = [];

async function start(options: FakeVllmOptions = {}): Promise<FakeVllm> {
  const fake = await FakeVllm.start(options);
  started.push(fake);
  return fake;
}

afterEach(async () => {
  for (const fake of started.splice(0)) await fake.close();
});

async function statusOf(fake: FakeVllm, path: string, key?: string): Promise<number> {
  const headers = key === undefined ? {} : { authorization: key };
  return (await fetch(`${fake.httpUrl}${path}`, { headers })).status;
}

/** Enough audio for many deltas before final. */
const TEN_WORDS = speak(range(1, 10));

describe('faults of an utterance', () => {
  it('strike as often as they are armed: once, n times, always, or not any more', async () => {
    const fake = await start();
    const client = await RawClient.open(fake.url);
    const blanks = async (count: number): Promise<boolean[]> => {
      const outcomes: boolean[] = [];
      for (let nth = 0; nth < count; nth += 1)
        outcomes.push((await client.say(speak([1]))).done.text === '');
      return outcomes;
    };
    const blank = { kind: 'blank', afterDeltas: 0 } as const;
    fake.faults.arm(blank);
    expect(await blanks(3)).toEqual([true, false, false]);
    fake.faults.arm(blank, 2);
    expect(await blanks(3)).toEqual([true, true, false]);
    fake.faults.arm(blank, 'always');
    expect(await blanks(4)).toEqual([true, true, true, true]);
    fake.faults.clear();
    expect(await blanks(2)).toEqual([false, false]);
  });

  it('strike what lives now, and nothing that comes after', async () => {
    const fake = await start();
    const [a, b] = [await RawClient.open(fake.url), await RawClient.open(fake.url)];
    a.start();
    await a.settled();
    fake.faults.strike({ kind: 'blank', afterDeltas: 4 });
    a.append(speak([1, 2]));
    a.final();
    expect((await a.transcript()).done.text).toBe(' w1');
    expect((await b.say(speak([1, 2]))).done.text).toBe(' w1 w2');
    expect((await a.say(speak([1, 2]))).done.text).toBe(' w1 w2');
  });

  it('stall: n deltas, then nothing, though final is read and the utterance lives', async () => {
    const fake = await start();
    fake.faults.arm({ kind: 'stall', afterDeltas: 5 });
    const [client, other] = [await RawClient.open(fake.url), await RawClient.open(fake.url)];
    client.start();
    await client.settled();
    client.append(TEN_WORDS);
    client.final();
    // By the time another utterance is done, a stalled one has had all the turns it could want.
    expect((await other.say(TEN_WORDS)).done.text).toBe(` ${transcript(range(1, 10))}`);
    expect(client.received.filter(({ type }) => type === 'transcription.delta')).toHaveLength(5);
    expect(fake.sessions[0]).toMatchObject({ state: 'finalising', deltas: 5 });
    expect(fake.liveUtterances).toBe(1);
  });

  it('no_done: every delta, but the utterance never ends', async () => {
    const fake = await start();
    fake.faults.arm({ kind: 'no_done' });
    const [client, other] = [await RawClient.open(fake.url), await RawClient.open(fake.url)];
    client.start();
    client.append(speak([1]));
    client.final();
    await client.settled();
    const { deltas } = await other.say(speak([1, 2, 3]));
    await client.settled();
    expect(deltas.length).toBeGreaterThan(15);
    expect(client.received.filter(({ type }) => type === 'transcription.delta')).toHaveLength(15);
    expect(fake.sessions[0]?.state).toBe('finalising');
  });

  it('blank: empty deltas over speech from delta n on, at the usual pace', async () => {
    const fake = await start();
    fake.faults.arm({ kind: 'blank', afterDeltas: 10 });
    const client = await RawClient.open(fake.url);
    const { deltas, done } = await client.say(TEN_WORDS);
    expect([deltas.length, done.text]).toEqual([60, ' w1 w2']);
    expect(deltas.slice(10).every((delta) => delta === '')).toBe(true);
  });

  it.each([[1000], [1006], [1011], [1012]] as [CloseCode][])(
    'close: with %i after n deltas, or in place of done',
    async (code) => {
      const fake = await start();
      for (const [afterDeltas, deltas] of [
        [0, 0],
        [7, 7],
        [AT_DONE, 60],
      ] as const) {
        fake.faults.arm({ kind: 'close', afterDeltas, code });
        const client = await RawClient.open(fake.url);
        client.start();
        client.append(TEN_WORDS);
        client.final();
        expect((await client.closed).code).toBe(code);
        expect(client.received.slice(1).map(({ type }) => type)).toEqual(
          Array.from({ length: deltas }, () => 'transcription.delta'),
        );
        expect(fake.liveUtterances).toBe(0);
      }
      expect(fake.counters).toMatchObject({ utterancesAborted: 3, utterancesDone: 0 });
    },
  );

  it('processing_error: an error event after n deltas on an open socket', async () => {
    const fake = await start();
    fake.faults.arm({ kind: 'processing_error', afterDeltas: 3, message: 'out of luck' });
    const client = await RawClient.open(fake.url);
    client.start();
    client.append(TEN_WORDS);
    expect(await client.next('error')).toEqual({
      type: 'error',
      error: 'out of luck',
      code: 'processing_error',
    });
    expect(client.received.filter(({ type }) => type === 'transcription.delta')).toHaveLength(3);
    expect(fake.counters).toMatchObject({ utterancesFailed: 1, utterancesAborted: 0 });
    expect((await client.say(speak([1]))).done.text).toBe(' w1');
  });

  it('frame: what is not JSON or not known, before delta n', async () => {
    const fake = await start();
    fake.faults.arm({ kind: 'frame', afterDeltas: 0, text: 'oops' });
    fake.faults.arm({ kind: 'frame', afterDeltas: AT_DONE, text: '{"type":"surprise"}' });
    const client = await RawClient.open(fake.url);
    expect((await client.say(speak([1]))).done.text).toBe(' w1');
    expect(client.strange).toEqual(['oops', '{"type":"surprise"}']);
  });

  it('double_done and usage: done twice, with other usage, or with none', async () => {
    const fake = await start();
    const client = await RawClient.open(fake.url);
    const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 4 };
    fake.faults.arm({ kind: 'usage', usage });
    fake.faults.arm({ kind: 'double_done' });
    const first = await client.say(speak([1]));
    const second = await client.next('transcription.done');
    expect([first.done.usage, second]).toEqual([usage, first.done]);
    fake.faults.arm({ kind: 'usage', usage: undefined });
    expect((await client.say(speak([2]))).done).toEqual({
      type: 'transcription.done',
      text: ' w2',
    });
  });

  it('half_open: takes all bytes, gives no event, no pong and no goodbye', async () => {
    const fake = await start();
    fake.faults.arm({ kind: 'half_open', afterDeltas: 2 });
    const [client, other] = [await RawClient.open(fake.url), await RawClient.open(fake.url)];
    const pongs: string[] = [];
    for (const [name, { socket }] of Object.entries({ client, other }))
      socket.on('pong', () => pongs.push(name));
    client.socket.ping();
    await client.settled();
    expect(pongs).toEqual(['client']);
    client.start();
    await client.settled();
    client.append(TEN_WORDS);
    await other.say(TEN_WORDS);
    const count = client.received.length;
    client.socket.ping();
    client.send({ type: 'unknown' });
    client.append(silence(60_000));
    client.socket.close();
    other.socket.ping();
    await other.settled();
    await other.say(speak([1]));
    expect(client.received).toHaveLength(count);
    expect(client.received.filter(({ type }) => type === 'transcription.delta')).toHaveLength(2);
    expect([pongs, client.socket.readyState]).toEqual([['client', 'other'], client.socket.CLOSING]);
    client.terminate();
    await client.closed;
  });
});

describe('faults of a connection', () => {
  it('refuse: the connection is cut, or answered with a status', async () => {
    const fake = await start();
    fake.faults.arm({ kind: 'refuse' });
    expect(await new RawClient(fake.url).closed).toMatchObject({ code: 0 });
    fake.faults.arm({ kind: 'refuse', status: 403 });
    expect((await new RawClient(fake.url).closed).reason).toContain('403');
    expect((await (await RawClient.open(fake.url)).say(speak([1]))).done.text).toBe(' w1');
    expect(fake.counters).toMatchObject({ refused: 2, connections: 1 });
  });

  it('slow_accept: the handshake is answered late, and not at all when the client has gone', async () => {
    const clock = new FakeClock();
    const fake = await start({ clock });
    fake.faults.arm({ kind: 'slow_accept', delayMs: 3_000 }, 2);
    const waiting = clock.pending;
    const [patient, gone] = [new RawClient(fake.url), new RawClient(fake.url)];
    while (clock.pending < waiting + 2) await new Promise((resolve) => setImmediate(resolve));
    gone.terminate();
    while (clock.pending > waiting + 1) await new Promise((resolve) => setImmediate(resolve));
    clock.advance(2_999);
    expect(fake.openConnections).toBe(0);
    clock.advance(1);
    await patient.next('session.created');
    expect(fake.counters.connections).toBe(1);
  });

  it('close_at_connect and mute: a greeting and a close, or nothing', async () => {
    const fake = await start();
    fake.faults.arm({ kind: 'close_at_connect', code: 1011 });
    const closed = new RawClient(fake.url);
    expect((await closed.closed).code).toBe(1011);
    expect(closed.received).toHaveLength(1);
    fake.faults.arm({ kind: 'mute' });
    const mute = new RawClient(fake.url);
    await new Promise((resolve) => mute.socket.once('open', resolve));
    mute.send({ type: 'unknown' });
    await (await RawClient.open(fake.url)).settled();
    expect([mute.received, mute.socket.readyState]).toEqual([[], mute.socket.OPEN]);
  });

  it('model_not_found: no name is right, so nothing can be started', async () => {
    const fake = await start();
    fake.faults.arm({ kind: 'model_not_found' });
    const client = await RawClient.open(fake.url);
    client.start();
    await client.settled();
    expect(client.errors).toEqual(['model_not_found', 'model_not_validated']);
  });
});

describe('faults of the server', () => {
  it('hangs: nobody gets a delta or a done, though /health is well, until it goes on', async () => {
    const fake = await start();
    const [a, b] = [await RawClient.open(fake.url), await RawClient.open(fake.url)];
    fake.faults.hang();
    const said = [a.say(speak([1])), b.say(Buffer.alloc(0))];
    await a.settled();
    await b.settled();
    expect([fake.counters.deltas, fake.liveUtterances, await statusOf(fake, '/health')]).toEqual([
      0, 2, 200,
    ]);
    fake.faults.resume();
    expect((await Promise.all(said)).map(({ done }) => done.text)).toEqual([' w1', '']);
  });

  it('dies of an utterance that grows to maxModelLen, with everybody, and comes back when told to', async () => {
    const clock = new FakeClock();
    const fake = await start({ maxModelLen: 39 + 20, restartAfterMs: 5_000, clock });
    const [long, other] = [await RawClient.open(fake.url), await RawClient.open(fake.url)];
    expect((await other.say(speak([1]))).done.text).toBe(' w1');
    expect(fake.metricsText()).toMatch(/^vllm:generation_tokens_total\{.*\} 15$/m);
    other.start();
    long.start();
    long.append(TEN_WORDS);
    const codes = await Promise.all([long.closed, other.closed]);
    expect(codes.map(({ code }) => code)).toEqual([1006, 1006]);
    expect(long.received.filter(({ type }) => type === 'transcription.delta')).toHaveLength(20);
    expect([await statusOf(fake, '/health'), fake.liveUtterances]).toEqual([503, 0]);
    expect(await new RawClient(fake.url).closed).toMatchObject({ code: 0 });
    clock.advance(5_000);
    expect(await statusOf(fake, '/health')).toBe(200);
    // A new process counts from zero.
    expect(fake.metricsText()).toMatch(/^vllm:generation_tokens_total\{.*\} 0$/m);
    expect((await (await RawClient.open(fake.url)).say(speak([2]))).done.text).toBe(' w2');
  });

  it('stays dead after a crash when nothing restarts it', async () => {
    const fake = await start();
    fake.faults.arm({ kind: 'crash', afterDeltas: 3 });
    const client = await RawClient.open(fake.url);
    client.start();
    client.append(TEN_WORDS);
    expect((await client.closed).code).toBe(1006);
    expect([fake.isEngineAlive, await statusOf(fake, '/health')]).toEqual([false, 503]);
  });

  it('stalls silently after 60 s without a token: one more delta, no done', async () => {
    const clock = new FakeClock();
    const fake = await start({ clock });
    const client = await RawClient.open(fake.url);
    const say = async (pcm: Buffer): Promise<number> => {
      client.append(pcm);
      await client.settled();
      await client.settled();
      return fake.sessions[0]?.deltas ?? -1;
    };
    client.start();
    expect(await say(silence(562.5))).toBe(1);
    clock.advance(10_000);
    clock.advance(10_000);
    // Pings are answered, so that the silence is the engine's alone.
    await client.settled();
    expect(await say(silence(80))).toBe(2);
    for (let waited = 0; waited < 60_001; waited += 10_000) {
      clock.advance(10_000);
      await client.settled();
    }
    expect(await say(silence(80))).toBe(3);
    expect(await say(silence(800))).toBe(3);
    client.final();
    await client.settled();
    expect(fake.sessions[0]).toMatchObject({ state: 'finalising', deltas: 3 });
  });

  it('pings every 20 s, and closes with 1011 after 20 s without a pong', async () => {
    const clock = new FakeClock();
    const fake = await start({ clock });
    const client = await RawClient.open(fake.url);
    await client.settled();
    const pinged = new Promise((resolve) => client.socket.once('ping', resolve));
    clock.advance(20_000);
    await pinged;
    await client.settled();
    clock.advance(20_000 - 1);
    expect(fake.openConnections).toBe(1);
    // The client hangs: it answers the ping of this time no more.
    client.socket.pause();
    clock.advance(1 + 20_000);
    client.socket.resume();
    expect(await client.closed).toEqual({ code: 1011, reason: 'keepalive ping timeout' });
  });

  it('goes away with 1012 or 1006', async () => {
    for (const code of [1012, 1006] as const) {
      const fake = await start();
      const client = await RawClient.open(fake.url);
      client.start();
      await Promise.all([fake.close(code), client.closed]);
      expect((await client.closed).code).toBe(code);
      await expect(fetch(`${fake.httpUrl}/health`)).rejects.toThrow();
    }
  });

  it('cuts a session that has more audio waiting than it may', async () => {
    const fake = await start({ maxBacklogBytes: 10_000 });
    const client = await RawClient.open(fake.url);
    client.append(Buffer.alloc(10_000));
    await client.settled();
    expect(fake.sessions[0]?.queuedBytes).toBe(10_000);
    client.append(Buffer.alloc(2));
    expect((await client.closed).code).toBe(1006);
  });

  it('cuts a session that queues end marks without end', async () => {
    const fake = await start();
    const client = await RawClient.open(fake.url);
    for (let count = 0; count <= 100_000; count += 1) client.final();
    expect((await client.closed).code).toBe(1006);
  });

  it('cuts a client that does not read', async () => {
    const fake = await start({ hear: () => ({ frame: () => 'x'.repeat(2 ** 20) }) });
    const client = await RawClient.open(fake.url);
    client.start();
    await client.settled();
    client.socket.pause();
    client.append(silence(10_000));
    while (fake.counters.utterancesAborted === 0)
      await new Promise((resolve) => setImmediate(resolve));
    expect(fake.counters.deltas).toBeLessThan(100);
    client.terminate();
  });
});

describe('keys and routes', () => {
  it('asks for a key on /v1 only, as a bearer token in any case', async () => {
    const fake = await start({ apiKeys: ['one', 'two'] });
    for (const authorization of ['Bearer one', 'bearer two', 'BEARER one']) {
      const client = await RawClient.open(fake.url, '', { authorization });
      client.terminate();
      expect(await statusOf(fake, '/v1/models', authorization)).toBe(200);
    }
    for (const headers of [
      {},
      { authorization: 'Bearer three' },
      { authorization: 'one' },
      { authorization: 'Basic one' },
      { 'x-api-key': 'one' },
    ] as Record<string, string>[])
      expect((await new RawClient(fake.url, headers).closed).reason).toContain('401');
    expect((await new RawClient(`${fake.url}?api_key=one`).closed).reason).toContain('401');
    expect(await statusOf(fake, '/v1/models')).toBe(401);
    for (const path of ['/health', '/version', '/load', '/metrics'])
      expect([path, await statusOf(fake, path)]).toEqual([path, 200]);
    expect(fake.counters).toMatchObject({ connections: 3, refused: 6 });
  });

  it('refuses a wrong key with 500 like old servers, and other paths with 403', async () => {
    const fake = await start({ apiKeys: ['one'], denialStatus: 500 });
    expect((await new RawClient(fake.url).closed).reason).toContain('500');
    const elsewhere = fake.url.replace('/v1/realtime', '/realtime');
    expect((await new RawClient(elsewhere).closed).reason).toContain('403');
    expect(await statusOf(fake, '/v1/audio')).toBe(401);
    expect(await statusOf(fake, '/nothing')).toBe(404);
  });

  it('tells models, version and load', async () => {
    const fake = await start({ models: ['a', 'b'], version: '0.19.0' });
    const json = async (path: string): Promise<unknown> =>
      (await fetch(`${fake.httpUrl}${path}`)).json();
    expect(VllmModels.parse(await json('/v1/models')).data.map(({ id }) => id)).toEqual(['a', 'b']);
    expect(VllmVersion.parse(await json('/version'))).toEqual({ version: '0.19.0' });
    expect(await json('/load')).toEqual({ server_load: 0 });
  });

  it('has a metrics page in the text format, with every name and label', async () => {
    const fake = await start({ models: ['say "x"\\'], kvPoolMib: 640 });
    const [client, idle] = [await RawClient.open(fake.url), await RawClient.open(fake.url)];
    await client.say(speak([1]));
    fake.preempt(2);
    idle.start();
    idle.append(silence(562.5));
    await idle.next('transcription.delta');
    await idle.settled();
    const response = await fetch(`${fake.httpUrl}/metrics`);
    expect(response.headers.get('content-type')).toContain('text/plain');
    const page = parseMetrics(await response.text());
    const own = 'model_name="say \\"x\\"\\\\",engine="0"';
    expect(page).toMatchObject({
      'vllm:websocket_connections_active': 2,
      'vllm:websocket_connections_total': 2,
      [`vllm:num_requests_running{${own}}`]: 0,
      [`vllm:num_requests_waiting{${own}}`]: 1,
      [`vllm:num_requests_waiting_by_reason{${own},reason="capacity"}`]: 0,
      [`vllm:num_requests_waiting_by_reason{${own},reason="deferred"}`]: 1,
      // 40 tokens: three blocks of the encoder and one of the decoder, 16 MiB each.
      [`vllm:kv_cache_usage_perc{${own}}`]: 0.1,
      [`vllm:num_preemptions_total{${own}}`]: 2,
      [`vllm:prompt_tokens_total{${own}}`]: 2 * 39,
      [`vllm:generation_tokens_total{${own}}`]: 15 + 1,
      [`vllm:time_to_first_token_seconds_count{${own}}`]: 15 + 1,
      [`vllm:time_to_first_token_seconds_bucket{${own},le="+Inf"}`]: 15 + 1,
    });
  });
});

describe('as a program', () => {
  it('says when it is ready, has the faults it was told, and ends on SIGTERM with 1012', async () => {
    const flags = ['--port', '0', '--json', '--api-key', 'k', '--fault', 'blank:4'];
    const main = 'packages/testkit/src/fake-vllm/main.ts';
    const program = spawn(
      process.execPath,
      ['--conditions=source', '--import', 'tsx', main, ...flags],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    try {
      const exited = once(program, 'exit');
      const [line] = (await once(createInterface({ input: program.stdout }), 'line')) as [string];
      const { url } = JSON.parse(line) as { url: string };
      const client = await RawClient.open(url, '', { authorization: 'Bearer k' });
      for (const _ of range(1, 2)) expect((await client.say(speak([1, 2]))).done.text).toBe(' w1');
      program.kill('SIGTERM');
      expect((await client.closed).code).toBe(1012);
      expect(await exited).toEqual([0, null]);
    } finally {
      program.kill('SIGKILL');
    }
  });
});

/** Samples by name and labels; throws on a line that is neither a sample nor a comment. */
function parseMetrics(text: string): Record<string, number> {
  const page: Record<string, number> = {};
  for (const line of text.trimEnd().split('\n')) {
    if (line.startsWith('# TYPE ')) continue;
    const [, name = '', value = ''] = /^([a-z_:]+(?:\{.*\})?) ([0-9.e+-]+)$/.exec(line) ?? [];
    if (name === '' || name in page) throw new Error(`not a sample, or twice: ${line}`);
    page[name] = Number(value);
  }
  return page;
}
