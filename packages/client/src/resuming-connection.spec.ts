import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { asked, settle } from './memory-net.fixture.ts';
import { LONG_MS, parts, pass, rig, TTL_S } from './resumable-rig.fixture.ts';
import { ResumableYapClient } from './resumable-yap-client.ts';

describe('ResumableYapClient, connecting', () => {
  it('asks for a session that can be resumed, and later for that session', async () => {
    const { net } = await rig(new FakeClock(), { waitS: 5, apiKey: 'k' });
    expect(asked(net.wire)).toEqual({ resumable: '1', wait: '5', token: null, lastSeq: null });
    net.wire.cut();
    await net.flow();
    expect(asked(net.wire)).toEqual({
      ...{ resumable: '1', wait: '5' },
      ...{ token: 'token-sess-1-1', lastSeq: '1' },
    });
    expect(net.wire.headers).toMatchObject({ 'X-API-Key': 'k' });
  });

  it('puts the token where the key goes', async () => {
    const { net } = await rig(new FakeClock(), { keyIn: 'query' });
    net.wire.cut();
    await settle();
    expect(net.wire.headers).toEqual({});
    expect(net.wire.url.searchParams.get('resume_token')).toBe('token-sess-1-1');
  });

  it('tries each address once', async () => {
    const { net, options } = parts(new FakeClock());
    net.down = true;
    const outcome = ResumableYapClient.connect(options).catch((error: Error) => error);
    await net.flow();
    expect(await outcome).toMatchObject({ name: 'YapUnreachable' });
    expect(net.wires.map(({ url }) => url.host)).toEqual(['a', 'b']);
  });

  it('does not ask elsewhere when the fleet is full', async () => {
    const { net, options, clock } = parts(new FakeClock());
    const outcome = ResumableYapClient.connect(options).catch((error: Error) => error);
    const details = { reason_code: 'server_at_capacity' };
    const payload = { code: 'server_at_capacity', message: 'Full.', details };
    const ids = { session_id: 'x', request_id: 'unknown' };
    net.wire.toClient.push(JSON.stringify({ type: 'error', ...ids, payload }));
    net.wire.deliverDown(1);
    expect(await outcome).toMatchObject({ name: 'YapRejected', reason: 'capacity' });
    expect(net.wires).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  it('tells a server that knows no resumable sessions', async () => {
    const { net, options } = parts(new FakeClock());
    const outcome = ResumableYapClient.connect(options).catch((error: Error) => error);
    const payload = { id: 's', created: 1, model: 'm' };
    const ids = { session_id: 's', request_id: 'unknown' };
    net.wire.toClient.push(JSON.stringify({ type: 'session.created', ...ids, payload }));
    net.wire.deliverDown(1);
    expect(await outcome).toMatchObject({ name: 'YapProtocolError' });
  });

  it('does not wait for ever', async () => {
    const { net, clock, options } = parts(new FakeClock());
    const connecting = ResumableYapClient.connect({
      ...options,
      connectTimeoutMs: 1_000,
      waitS: 2,
    });
    const outcome = connecting.catch((error: Error) => error);
    await settle();
    await pass(clock, 2_900);
    expect(net.wires).toHaveLength(1);
    await pass(clock, 3_200);
    expect(await outcome).toMatchObject({ name: 'YapTimeout' });
    expect(net.wires).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });
});

describe('ResumableYapClient, after a loss', () => {
  it('dials the next address at once, then with pauses, until the session could not be resumed', async () => {
    const { net, clock, client } = await rig(new FakeClock());
    const utterance = client.utterance();
    const outcome = utterance.result(LONG_MS).catch((error: Error) => error);
    await net.flow();
    net.down = true;
    net.wire.cut();
    await settle();
    expect(net.wires.map(({ url }) => url.host)).toEqual(['a', 'b']);
    await pass(clock, 49, 1);
    expect(net.wires).toHaveLength(2);
    await pass(clock, 100);
    expect(net.wires).toHaveLength(3);
    await pass(clock, TTL_S * 1000 - 2_000);
    expect(utterance.failed.aborted).toBe(false);
    await pass(clock, 2_000);
    expect(await outcome).toMatchObject({ name: 'YapResumeFailed' });
    expect(await client.closed).toEqual({ code: 1006, reason: '' });
    expect(clock.pending).toBe(0);
    expect(() => client.utterance()).toThrow(/No server could be reached/);
  });

  it.each([1001, 1006, 1011, 1012, 1013, 4005])('goes on after close %i', async (code) => {
    const { net, client } = await rig(new FakeClock());
    net.wire.server?.close(code, '');
    await net.flow();
    expect(client.continuity.resumes).toBe(1);
  });

  it.each([1000, 1008, 4000, 4003, 4006])('is over after close %i', async (code) => {
    const { net, clock, client } = await rig(new FakeClock());
    const outcome = client
      .utterance()
      .result(LONG_MS)
      .catch((error: Error) => error);
    net.wire.server?.close(code, 'why');
    await net.flow();
    const name = code === 4006 ? 'YapResumeRefused' : 'YapConnectionClosed';
    expect(await outcome).toMatchObject({ name });
    expect(await client.closed).toEqual({ code, reason: 'why' });
    expect(net.wires).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  it('is over when the answer that held the next token was lost', async () => {
    const { net, clock, client } = await rig(new FakeClock());
    net.wire.cut();
    await settle();
    // The token is used, and nobody got the next one.
    net.wire.cut();
    await settle();
    await pass(clock, 100);
    await net.flow();
    await expect(client.ping()).rejects.toMatchObject({ name: 'YapResumeRefused' });
    expect(net.wires).toHaveLength(3);
  });

  it('is over when the server leaves out a frame', async () => {
    const { net, client } = await rig(new FakeClock());
    const pings = [client.ping(), client.ping()].map((ping) => ping.catch((error: Error) => error));
    net.wire.deliverUp();
    net.wire.server?.save();
    net.wire.toClient.shift();
    net.wire.deliverDown();
    expect(await pings[1]).toMatchObject({ name: 'YapProtocolError' });
    expect(() => client.utterance()).toThrow(/frame 3 came after frame 1/);
  });

  it('says why the server ended it, whatever the close code', async () => {
    const { net, client } = await rig(new FakeClock());
    const details = { reason_code: 'audio_quota_exhausted' };
    const payload = { code: 'rate_limited', message: 'Used up.', details };
    net.wire.server?.tell('error', 'unknown', payload);
    net.wire.server?.close(1013, '');
    await net.flow();
    const gone = { name: 'YapRejected', reason: 'quota', message: 'Used up.' };
    await expect(client.ping()).rejects.toMatchObject(gone);
    expect(net.wires).toHaveLength(1);
  });

  it('takes an error of the session for its own, though it comes before the resume is told', async () => {
    const { net, client } = await rig(new FakeClock());
    const lost = client.utterance();
    const outcome = lost.result(LONG_MS).catch((error: Error) => error);
    await net.flow();
    net.wire.server?.fail('worker_lost');
    net.wire.cut();
    await settle();
    const [resumed = '', error = ''] = net.wire.toClient.splice(0, 2);
    net.wire.toClient.unshift(error, resumed);
    await net.flow();
    expect(await outcome).toMatchObject({ reasonCode: 'worker_lost' });
    expect(client.continuity.resumes).toBe(1);
    expect(net.wires).toHaveLength(2);
  });

  it('takes the silence of a server that answers no ping for a loss', async () => {
    const { net, clock, client } = await rig(new FakeClock());
    await pass(clock, 30_000);
    expect(client.continuity.resumes).toBe(0);
    net.wire.frozen = true;
    await pass(clock, 7_000);
    expect(net.wires).toHaveLength(1);
    await pass(clock, 3_000);
    await net.flow();
    expect(client.continuity.resumes).toBe(1);
  });

  it('redials when the frames it missed do not come', async () => {
    const { net, clock, client } = await rig(new FakeClock());
    net.wire.cut();
    await settle();
    net.wire.deliverDown();
    // Alive, but the ping of the resume is never answered.
    await pass(clock, 10_100);
    await net.flow();
    expect(net.wires).toHaveLength(3);
    expect(await Promise.all([client.ping(), net.flow()])).toEqual([0, undefined]);
  });

  it('pauses between dials to a server that ends each connection at once', async () => {
    const { net } = await rig(new FakeClock());
    for (let i = 0; i < 20; i++) {
      await settle();
      net.wire.deliverDown();
      net.wire.cut();
    }
    await settle();
    // Three losses at once are redialed without a pause.
    expect(net.wires).toHaveLength(4);
  });
});
