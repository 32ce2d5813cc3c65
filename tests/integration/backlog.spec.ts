import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from '@jest/globals';
import { frames, range, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

const SAMPLES_PER_S = 16_000;
const FRAME_SAMPLES = 1_280;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes in use after garbage is gone: heap and buffers. */
function bytesInUse(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Also counts what it was offered and has not taken yet. */
class WatchedEngine extends ScriptedEngine {
  offeredSamples = 0;

  override gate(samples: number): Promise<void> {
    this.offeredSamples += samples;
    return super.gate(samples);
  }
}

describe('audio that the engine does not keep up with', () => {
  let fleet: Fleet;
  let engine: WatchedEngine;
  afterEach(() => fleet[Symbol.asyncDispose]());

  async function start(env: Record<string, string> = {}): Promise<YapSocket> {
    engine = new WatchedEngine();
    fleet = await Fleet.start([engine], env);
    return fleet.client();
  }

  /** Has the engine stall over one frame of silence, so that it is known which audio waits behind it. */
  async function startStalled(): Promise<YapSocket> {
    const client = await start();
    engine.stall();
    client.start('u');
    client.append('u', silence(FRAME_SAMPLES / 16));
    await until(() => engine.offeredSamples === FRAME_SAMPLES, 'the engine holds the frame');
    return client;
  }

  /** Every drop told of, summed in samples; each must name the limit and its source. */
  function toldDropped(client: YapSocket, requestId: string): number {
    let samples = 0;
    for (const frame of client.of(requestId)) {
      if (frame.type !== 'status' || frame.payload.kind !== 'overload_drop') continue;
      const { dropped_seconds, ...facts } = frame.payload;
      expect(facts).toEqual({
        kind: 'overload_drop',
        max_backlog_seconds: 5,
        source: 'pending_buffer',
      });
      expect(dropped_seconds).toBeGreaterThan(0);
      samples += Math.round(dropped_seconds * SAMPLES_PER_S);
    }
    return samples;
  }

  it.each([80, 10])(
    'drops the oldest beyond 5 s and tells each drop, with 10 s in frames of %d ms (Y36)',
    async (frameMs) => {
      const client = await startStalled();
      for (const frame of frames(speak(range(1, 25)), frameMs)) client.append('u', frame);
      const expected = 5 * SAMPLES_PER_S;
      await until(() => toldDropped(client, 'u') >= expected, 'the drops are told');
      expect(toldDropped(client, 'u')).toBe(expected);
      engine.resume();
      client.finalize('u');
      const final = await client.next('final');
      // The newest audio begins at 5 s, amid the pause behind word 12 and word 13; of word 13 too little is left.
      expect(final.payload.normalized_text).toBe(transcript(range(14, 25)));
      expect(engine.takenSamples).toBe(FRAME_SAMPLES + 5 * SAMPLES_PER_S);
      expect(await fleet.metrics()).toMatch(
        /^voice_gateway_dropped_audio_seconds_total (5|4\.9999\d*|5\.0000\d*)$/m,
      );
    },
  );

  it('drops again when the engine stalls again, and keeps everything in between (Y36)', async () => {
    const client = await startStalled();
    for (const frame of frames(speak(range(1, 25)))) client.append('u', frame);
    await until(() => toldDropped(client, 'u') >= 5 * SAMPLES_PER_S, 'the first drops are told');
    engine.resume();
    await until(() => engine.takenSamples === FRAME_SAMPLES + 5 * SAMPLES_PER_S, 'it caught up');
    engine.stall();
    client.append('u', silence(80));
    await until(() => engine.offeredSamples > engine.takenSamples, 'it holds a frame again');
    for (const frame of frames(speak(range(26, 50)))) client.append('u', frame);
    await until(() => toldDropped(client, 'u') >= 10 * SAMPLES_PER_S, 'all drops are told');
    engine.resume();
    client.append('u', speak(range(51, 55)));
    client.finalize('u');
    const final = await client.next('final');
    const heard = [...range(14, 25), ...range(39, 55)];
    expect(final.payload.normalized_text).toBe(transcript(heard));
    expect(toldDropped(client, 'u')).toBe(10 * SAMPLES_PER_S);
  });

  it('keeps memory flat while a stalled engine is sent minutes of audio (Y36)', async () => {
    const client = await start();
    engine.stall();
    client.start('u');
    const samples: number[] = [];
    for (let second = 1; second <= 300; second += 1) {
      for (const frame of frames(silence(1_000))) client.append('u', frame);
      await client.settled();
      client.forget();
      if (second % 20 === 0) samples.push(bytesInUse());
    }
    // In the first 100 s code is compiled. What is in flight comes and goes, hence the lowest. 100 s are 3.2 MB of audio.
    const grown = Math.min(...samples.slice(10)) - Math.min(...samples.slice(5, 10));
    expect(grown).toBeLessThan(1_500_000);
    client.send('cancel', 'u');
    await client.next('cancelled');
  });

  it('drops of one append of 6 s only for what comes after it, and tells, when the engine stalls (Y37)', async () => {
    const client = await start();
    engine.stall();
    client.start('u');
    client.append('u', speak(range(1, 15)));
    await client.settled();
    expect(toldDropped(client, 'u')).toBe(0);
    client.append('u', silence(80));
    const status = await client.next('status');
    expect(status.payload).toMatchObject({ kind: 'overload_drop' });
    expect(toldDropped(client, 'u')).toBeGreaterThan(0.9 * SAMPLES_PER_S);
    engine.resume();
    client.finalize('u');
    // About 1 s is gone, which ends in word 3.
    const final = await client.next('final');
    expect(final.payload.normalized_text).toMatch(new RegExp(`${transcript(range(4, 15))}$`));
    expect(engine.takenSamples + toldDropped(client, 'u')).toBe(6.08 * SAMPLES_PER_S);
  });

  it('transcribes one append of 6 s whole on a healthy engine (Y37)', async () => {
    const client = await start();
    client.start('u');
    client.append('u', speak(range(1, 15)));
    client.finalize('u');
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 15)));
    expect(toldDropped(client, 'u')).toBe(0);
  });

  it('drops nothing of one append of 5 s (Y37)', async () => {
    const client = await start();
    engine.stall();
    client.start('u');
    client.append('u', speak(range(1, 12)));
    await client.settled();
    engine.resume();
    client.finalize('u');
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 12)));
    expect(toldDropped(client, 'u')).toBe(0);
  });

  it('closes with inbound_queue_full where nothing may be dropped and the engine stalls (Y35)', async () => {
    const client = await start({ STT_MAX_BACKLOG_SECONDS: '0', WS_INBOUND_QUEUE_MAX: '100' });
    engine.stall();
    client.start('u');
    for (const frame of frames(silence(120 * 80))) client.append('u', frame);
    const { payload } = await client.next('error');
    expect(payload.code).toBe('internal_error');
    expect(payload.details).toEqual({ reason_code: 'inbound_queue_full', inbound_queue_max: 100 });
    expect(await client.closed).toEqual({ code: 1013, reason: payload.message });
    expect(client.of('u').filter((frame) => frame.type === 'status')).toEqual([]);
    engine.resume();
    await until(() => engine.openStreams === 0, 'the stream is closed');
    await until(async () => (await fleet.get('/readyz')).body['leased'] === 0, 'the slot is free');
  });

  it('leaves a session open while no more frames wait than may (Y35)', async () => {
    const client = await start({ STT_MAX_BACKLOG_SECONDS: '0', WS_INBOUND_QUEUE_MAX: '100' });
    const full = await fleet.client();
    engine.stall();
    client.start('u');
    for (const frame of frames(speak(range(1, 19)))) client.append('u', frame);
    full.start('u');
    for (const frame of frames(silence(120 * 80))) full.append('u', frame);
    // Sent after, and closed in its time: the other's time was up before.
    expect((await full.closed).code).toBe(1013);
    engine.resume();
    client.finalize('u');
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 19)));
  });

  it('takes a burst of far more frames than may wait when the engine is healthy (Y35)', async () => {
    const client = await start({ STT_MAX_BACKLOG_SECONDS: '0', WS_INBOUND_QUEUE_MAX: '100' });
    const words = range(1, 200);
    client.start('u');
    for (const frame of frames(speak(words), 20)) client.append('u', frame);
    client.finalize('u');
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(words));
  });
});
