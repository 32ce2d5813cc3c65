import { describe, expect, it } from '@jest/globals';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { codedPcm, codedText, TOKEN_SAMPLES } from './coded-pcm.fixture.ts';
import { settle } from './memory-net.fixture.ts';
import { LONG_MS, pass, rig, speak, waiting } from './resumable-rig.fixture.ts';

const STATUS_DROP = {
  kind: 'overload_drop',
  dropped_seconds: 2,
  max_backlog_seconds: 5,
  source: 'x',
};

describe('ResumableYapClient, audio', () => {
  it('begins an utterance that was started and ended without a connection', async () => {
    const { net, clock, fleet, client } = await rig(new FakeClock());
    net.down = true;
    net.wire.cut();
    await settle();
    const utterance = client.utterance();
    speak(utterance, 0, 3_000);
    utterance.finalize();
    net.down = false;
    await pass(clock, 200);
    await net.flow();
    expect((await utterance.result(LONG_MS)).finalText).toBe(codedText(3_000));
    expect(fleet.violations).toEqual([]);
    // Nor does a microphone that is still open disturb anyone.
    expect(() => speak(utterance, 3_000, 1_280)).not.toThrow();
  });

  it('sends of a new utterance that is late no more at once than may wait for an engine', async () => {
    const { net, clock, client } = await rig(new FakeClock());
    net.down = true;
    net.wire.cut();
    speak(client.utterance(), 0, 8 * SAMPLE_RATE);
    net.down = false;
    await pass(clock, 200);
    net.wire.deliverDown();
    net.wire.deliverUp();
    net.wire.server?.save();
    net.wire.deliverDown();
    expect(waiting(net)).toBe(4 * SAMPLE_RATE);
  });

  it('sends what has piled up no faster than a server takes it', async () => {
    const { net, clock, fleet, client } = await rig(new FakeClock());
    const utterance = client.utterance();
    speak(utterance, 0, SAMPLE_RATE);
    await net.flow();
    net.down = true;
    net.wire.cut();
    speak(utterance, SAMPLE_RATE, 39 * SAMPLE_RATE);
    net.down = false;
    await pass(clock, 200);
    net.wire.deliverDown();
    expect(waiting(net)).toBe(25 * SAMPLE_RATE);
    await pass(clock, 800, 80);
    expect(waiting(net)).toBe(26.6 * SAMPLE_RATE);
    await pass(clock, 7_200, 80);
    // Of its first second 12 tokens are settled, and 2000 samples of them are heard again.
    expect(waiting(net)).toBe(40 * SAMPLE_RATE - (12 * TOKEN_SAMPLES - 2_000));
    expect(fleet.violations).toEqual([]);
  });

  it('sends no more than a socket takes', async () => {
    const { net, clock, client } = await rig(new FakeClock());
    const utterance = client.utterance();
    net.wire.bufferedBytes = 2 * 1024 * 1024;
    speak(utterance, 0, 5_000);
    expect(waiting(net)).toBe(0);
    net.wire.bufferedBytes = 0;
    await pass(clock, 100);
    expect(waiting(net)).toBe(5_000);
  });

  it('takes no more than 120 s without a connection, and goes on when there is one', async () => {
    const { net, clock, fleet, client } = await rig(new FakeClock());
    net.down = true;
    net.wire.cut();
    const utterance = client.utterance();
    speak(utterance, 0, 120 * SAMPLE_RATE);
    const next = codedPcm(1, 120 * SAMPLE_RATE, 1280);
    expect(() => utterance.append(next)).toThrow(/120 s of audio wait/);
    net.down = false;
    for (let i = 0; i < 200; i++) {
      await pass(clock, 400);
      await net.flow(2);
    }
    utterance.append(next);
    utterance.finalize();
    await net.flow();
    const text = codedText(120 * SAMPLE_RATE + 1280);
    expect((await utterance.result(LONG_MS)).finalText).toBe(text);
    expect(fleet.violations).toEqual([]);
  });

  it('keeps what was sent, too, while there is no connection', async () => {
    const { net, client } = await rig(new FakeClock());
    const utterance = client.utterance();
    speak(utterance, 0, 100 * SAMPLE_RATE);
    net.down = true;
    net.wire.cut();
    speak(utterance, 100 * SAMPLE_RATE, 20 * SAMPLE_RATE);
    expect(() => speak(utterance, 120 * SAMPLE_RATE, 2)).toThrow(/120 s of audio wait/);
  });

  it.each([
    ['the start', true],
    ['nothing', false],
  ])(
    'lets the oldest go when all was sent; a server that knows %s is told',
    async (_what, saved) => {
      const { net, client } = await rig(new FakeClock());
      const utterance = client.utterance();
      if (saved) await net.flow();
      // Nothing of it is ever saved, and nothing acked.
      speak(utterance, 0, 121 * SAMPLE_RATE);
      net.wire.server?.kill();
      net.wire.cut();
      await net.flow();
      await expect(utterance.result(LONG_MS)).rejects.toMatchObject({ name: 'YapAudioGone' });
      // The server need not wait for it either.
      expect(net.wire.server?.openId).toBeUndefined();
    },
  );

  it('does not repeat words for a server that has lost an utterance', async () => {
    const { net, client } = await rig(new FakeClock());
    const utterance = client.utterance();
    speak(utterance, 0, 1_280);
    await net.flow();
    net.wire.server?.forget();
    net.wire.cut();
    await net.flow();
    await expect(utterance.result(LONG_MS)).rejects.toMatchObject({ name: 'YapProtocolError' });
  });

  it('tells how often and how long', async () => {
    const { net, clock, client } = await rig(new FakeClock());
    await pass(clock, 1_000);
    const utterance = client.utterance();
    speak(utterance, 0, 1_280);
    await net.flow();
    await pass(clock, 400);
    net.wire.cut();
    await net.flow();
    await pass(clock, 300);
    speak(utterance, 1_280, 1_280);
    await net.flow();
    const continuity = { resumes: 1, pausesMs: [700], acceptedSamples: 2_560 };
    expect(client.continuity).toEqual(continuity);
  });
});

describe('ResumableYapClient, commands', () => {
  it('cancels what the server has open and nobody waits for', async () => {
    const { net, clock, client } = await rig(new FakeClock());
    client.utterance();
    await net.flow();
    net.down = true;
    net.wire.cut();
    const cancelled = client.cancel('enough', 50).catch((error: Error) => error);
    await pass(clock, 100);
    expect(await cancelled).toMatchObject({ name: 'YapTimeout' });
    net.down = false;
    await pass(clock, 500);
    await net.flow();
    expect(net.wire.server?.openId).toBeUndefined();
  });

  it('does not cancel what was started after the cancel', async () => {
    const { net, fleet, client } = await rig(new FakeClock());
    client.utterance();
    const cancelled = client.cancel('enough', LONG_MS);
    const utterance = client.utterance();
    speak(utterance, 0, 2_000);
    net.wire.deliverUp();
    // Saved, but the client has not heard of it.
    net.wire.server?.save();
    net.wire.cut();
    await settle();
    net.wire.deliverDown(1);
    net.wire.deliverUp();
    net.wire.server?.save();
    // What was missed and the end of it come in one read.
    net.wire.deliverDown();
    await net.flow();
    utterance.finalize();
    await net.flow();
    expect(await cancelled).toBe('enough');
    expect((await utterance.result(LONG_MS)).finalText).toBe(codedText(2_000));
    expect(fleet.violations).toEqual([]);
  });

  it('ends as soon as there is a connection', async () => {
    const { net, clock, fleet, client } = await rig(new FakeClock());
    net.down = true;
    net.wire.cut();
    const ending = client.end();
    net.down = false;
    await pass(clock, 500);
    await net.flow();
    expect(await ending).toEqual({ code: 1000, reason: '' });
    expect(fleet.records[0]?.ended).toBe(true);
  });

  it('looks for no other connection when the last one broke after "end"', async () => {
    const { net, clock, client } = await rig(new FakeClock());
    const ending = client.end();
    net.wire.cut();
    expect(await ending).toEqual({ code: 1006, reason: '' });
    expect(net.wires).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  it('fails the utterance that the server fails, and goes on', async () => {
    const { net, client } = await rig(new FakeClock());
    const lost = client.utterance();
    await net.flow();
    net.wire.server?.fail('worker_lost');
    await net.flow();
    await expect(lost.result(LONG_MS)).rejects.toMatchObject({ reasonCode: 'worker_lost' });
    // Late audio of a caller that has not noticed is nobody's business.
    lost.append(Buffer.alloc(2));
    const next = client.utterance();
    next.finalize();
    await net.flow();
    expect((await next.result(LONG_MS)).finalText).toBe(codedText(0));
  });

  it('tells notices about the session apart from drops of the utterance', async () => {
    const notices: unknown[] = [];
    const drops: unknown[] = [];
    const { net, client } = await rig(new FakeClock(), {
      onStatus: (notice) => notices.push(notice),
    });
    const { requestId } = client.utterance({ onStatus: (drop) => drops.push(drop) });
    const shutdown = { kind: 'shutdown', grace_s: 5 };
    for (const payload of [STATUS_DROP, shutdown]) {
      net.wire.server?.tell('status', requestId, payload);
    }
    net.wire.deliverDown();
    expect(notices).toEqual([shutdown]);
    expect(drops).toEqual([STATUS_DROP]);
  });

  it('ends at the signal, while it looks for a connection too', async () => {
    const stop = new AbortController();
    const { net, clock, client } = await rig(new FakeClock(), { signal: stop.signal });
    const outcome = client.ping(LONG_MS).catch((error: Error) => error);
    net.down = true;
    net.wire.cut();
    await pass(clock, 1_000);
    stop.abort(new Error('enough'));
    expect(await outcome).toMatchObject({ message: 'enough' });
    await client.closed;
    expect(clock.pending).toBe(0);
  });

  it('closes at once, and twice', async () => {
    const { net, clock, client } = await rig(new FakeClock());
    expect(await client.close()).toEqual({ code: 1000, reason: '' });
    expect(await client.close()).toEqual({ code: 1000, reason: '' });
    expect(net.wire.open).toBe(false);
    expect(clock.pending).toBe(0);
    await expect(client.end()).rejects.toMatchObject({ name: 'YapConnectionClosed' });
  });
});
