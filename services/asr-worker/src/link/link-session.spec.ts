import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  LINK_ACK_INTERVAL_MS,
  type LinkCommand,
  LinkEvent,
  type LinkWord,
} from '@voice-fleet/protocol/link';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { NO_TRACER } from '@voice-fleet/telemetry/tracing/tracer';
import { frames, range, SLOT_SAMPLES, silence, speak } from '@voice-fleet/testkit/coded-speech';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import type { WebSocket } from 'ws';
import { codedVad } from '../../../../tests/support/coded-vad.ts';
import { ScriptedEngine } from '../../../../tests/support/scripted-engine.ts';
import { WorkerMetrics } from '../metrics.ts';
import { CatchUp } from '../transcription/catch-up.ts';
import { LinkSession } from './link-session.ts';

type EventOf<T extends LinkEvent['type']> = Extract<LinkEvent, { type: T }>;

const SECOND = 16_000;

describe('LinkSession', () => {
  let clock: FakeClock;
  let engine: ScriptedEngine;
  let metrics: WorkerMetrics;
  let sent: LinkEvent[];
  let idle: number;
  let onIdle: () => void;
  let logged: Record<string, unknown>[];
  let session: LinkSession;

  beforeEach(() => {
    clock = new FakeClock();
    engine = new ScriptedEngine();
    metrics = new WorkerMetrics();
    sent = [];
    idle = 0;
    onIdle = () => {
      idle += 1;
    };
    logged = [];
    session = open();
  });

  function open(maxBacklogSamples = 5 * SECOND): LinkSession {
    const socket = {
      send: (text: string) => void sent.push(LinkEvent.parse(JSON.parse(text))),
    } as unknown as WebSocket;
    const endless = Number.POSITIVE_INFINITY;
    const settings = {
      plan: { segmentSamples: endless, pauseFromSamples: endless, overlapSamples: 0 },
      maxBacklogSamples,
      finishTimeoutMs: 1_000,
      quietTimeoutMs: 60_000,
      recovery: { maxAttempts: 0, overlapSamples: 0, replaySamples: 0 },
    };
    const write = (line: string): void => void logged.push(JSON.parse(line));
    const log = createLogger('asr-worker', 'info', { write });
    return new LinkSession(socket, {
      engine,
      vad: codedVad(),
      sessionId: 's',
      clock,
      settings,
      metrics,
      catchUp: new CatchUp({ clock, permits: () => 2, stats: metrics.catchUp }),
      tracer: NO_TRACER,
      log,
      onIdle: () => onIdle(),
    });
  }

  const command = (value: LinkCommand): void =>
    session.onFrame(Buffer.from(JSON.stringify(value)), false);
  const start = (utterance: number, fromSample = 0): void =>
    command({ type: 'start', utterance, fromSample });
  const finish = (utterance: number): void => command({ type: 'finish', utterance });
  const cancel = (utterance: number): void => command({ type: 'cancel', utterance });
  async function audio(words: readonly number[]): Promise<void> {
    for (const frame of frames(speak(words))) {
      session.onFrame(frame, true);
      await turn();
    }
  }
  const told = <T extends LinkEvent['type']>(type: T): EventOf<T>[] =>
    sent.filter((event): event is EventOf<T> => event.type === type);
  const count = async (name: string): Promise<string | undefined> =>
    new RegExp(`^${name}(?:\\{.*\\})? (.*)$`, 'm').exec(await metrics.registry.metrics())?.[1];

  it('tells words on the session clock, then the final of the utterance', async () => {
    start(1, 1_000);
    await audio([1, 2]);
    expect(session.busy).toBe(true);
    finish(1);
    await turn();
    const words = told('partial').flatMap((event) => event.words);
    expect(words.map(({ text, startSample }) => [text, startSample])).toEqual([
      ['w1', 1_000],
      [' w2', 1_000 + SLOT_SAMPLES],
    ]);
    expect(told('final')).toEqual([
      { type: 'final', utterance: 1, words: [], promptTokens: 10, completionTokens: 2 },
    ]);
    expect([session.busy, idle]).toEqual([false, 1]);
    expect(await count('voice_worker_utterances_total{outcome="final"}')).toBe('1');
    expect(Number(await count('voice_worker_audio_seconds_total'))).toBeCloseTo(0.8);
  });

  it('measures the first text from the first audio, not from the start of the utterance', async () => {
    start(1);
    clock.advance(5_000);
    await audio([1]);
    clock.advance(200);
    await audio([2]);
    expect(await count('voice_worker_asr_first_partial_seconds_count')).toBe('1');
    expect(await count('voice_worker_asr_first_partial_seconds_sum')).toBe('0');
    start(2, 2 * SLOT_SAMPLES);
    session.onFrame(speak([3]).subarray(0, 2_560), true);
    clock.advance(300);
    await audio([4]);
    expect(await count('voice_worker_asr_first_partial_seconds_sum')).toBe('0.3');
  });

  it('acknowledges once in each interval how many frames it has had', async () => {
    start(1);
    await audio([1]);
    expect(told('ack')).toEqual([]);
    clock.advance(LINK_ACK_INTERVAL_MS);
    expect(told('ack')).toMatchObject([{ type: 'ack', frames: 6, sample: SLOT_SAMPLES * 0.8 }]);
    clock.advance(10 * LINK_ACK_INTERVAL_MS);
    expect(told('ack')).toHaveLength(1);
    finish(1);
    await turn();
    clock.advance(LINK_ACK_INTERVAL_MS);
    // All of it is settled now, the silence at its end included.
    expect(told('ack')[1]).toMatchObject({ type: 'ack', frames: 7, sample: SLOT_SAMPLES });
  });

  it('acknowledges at once what a stalled engine has not taken, since it may be dropped', async () => {
    start(1);
    engine.stall();
    await audio(range(1, 3));
    clock.advance(LINK_ACK_INTERVAL_MS);
    expect(told('ack').at(-1)?.frames).toBe(16);
  });

  it('acknowledges only what the engine has taken where nothing may be dropped, until all is', async () => {
    session = open(0);
    start(1);
    engine.stall();
    await audio(range(1, 3));
    clock.advance(LINK_ACK_INTERVAL_MS);
    expect(told('ack').at(-1)?.frames).toBe(1);
    engine.resume();
    await turn();
    clock.advance(LINK_ACK_INTERVAL_MS);
    expect(told('ack').at(-1)?.frames).toBe(16);
    clock.advance(10 * LINK_ACK_INTERVAL_MS);
    expect(told('ack')).toHaveLength(2);
  });

  it('acknowledges what is settled also without a frame, and nothing while that stays the same', async () => {
    start(1);
    await audio([1]);
    clock.advance(LINK_ACK_INTERVAL_MS);
    engine.stall();
    session.onFrame(speak([2, 3]), true);
    clock.advance(LINK_ACK_INTERVAL_MS);
    const before = told('ack');
    expect(before.at(-1)).toMatchObject({ frames: 7, sample: SLOT_SAMPLES * 0.8 });
    engine.resume();
    await turn();
    expect(told('ack')).toHaveLength(before.length);
    clock.advance(LINK_ACK_INTERVAL_MS);
    expect(told('ack').at(-1)).toMatchObject({ frames: 7, sample: SLOT_SAMPLES * 2.8 });
    clock.advance(100 * LINK_ACK_INTERVAL_MS);
    expect(told('ack')).toHaveLength(before.length + 1);
    expect(clock.pending).toBe(1);
  });

  it('tells what the engine takes though no frame comes and no word is settled', async () => {
    start(1);
    engine.stall();
    session.onFrame(silence(1_000), true);
    clock.advance(LINK_ACK_INTERVAL_MS);
    expect(told('ack')).toMatchObject([{ takenSample: 0 }]);
    engine.resume();
    await turn();
    clock.advance(LINK_ACK_INTERVAL_MS);
    expect(told('ack')[1]).toMatchObject({ takenSample: SECOND });
    clock.advance(10 * LINK_ACK_INTERVAL_MS);
    expect(told('ack')).toHaveLength(2);
  });

  it('never acknowledges a sample before the words that end before it', async () => {
    start(1);
    for (const frame of frames(speak(range(1, 20)))) {
      session.onFrame(frame, true);
      await turn();
      clock.advance(LINK_ACK_INTERVAL_MS / 3);
      const words = told('partial').flatMap((event) => event.words).length;
      const { sample = 0 } = told('ack').at(-1) ?? {};
      expect(Math.ceil((sample - 0.8 * SLOT_SAMPLES) / SLOT_SAMPLES)).toBeLessThanOrEqual(words);
    }
    expect(told('ack').at(-1)?.sample).toBeGreaterThan(17 * SLOT_SAMPLES);
  });

  describe('with an utterance that another worker has begun', () => {
    const LIVE = 10 * SLOT_SAMPLES;
    const word = (nth: number): LinkWord => ({
      text: ` w${nth}`,
      startSample: (nth - 1) * SLOT_SAMPLES,
      endSample: (nth - 0.2) * SLOT_SAMPLES,
    });
    const resume = (): void =>
      command({
        type: 'start',
        utterance: 3,
        fromSample: 5 * SLOT_SAMPLES,
        resume: {
          heardSample: 7.8 * SLOT_SAMPLES,
          liveSample: LIVE,
          words: [6, 7, 8].map(word),
        },
      });

    it('tells the words that it owes, and acknowledges from where the other had come', async () => {
      resume();
      clock.advance(LINK_ACK_INTERVAL_MS);
      expect(told('ack')).toEqual([
        { type: 'ack', frames: 1, takenSample: 0, sample: 7.8 * SLOT_SAMPLES },
      ]);
      await audio(range(6, 12));
      finish(3);
      await turn();
      const words = sent.flatMap((event) => ('words' in event ? event.words : []));
      expect(words.map(({ text }) => text)).toEqual([' w9', ' w10', ' w11', ' w12']);
      expect(words[0]?.startSample).toBe(8 * SLOT_SAMPLES);
      clock.advance(LINK_ACK_INTERVAL_MS);
      expect(told('ack').at(-1)?.sample).toBe(12 * SLOT_SAMPLES);
      expect(await count('voice_worker_resumed_utterances_total{outcome="final"}')).toBe('1');
      expect(await count('voice_worker_asr_first_partial_seconds_count')).toBeUndefined();
      expect(logged).toMatchObject([{ event: 'utterance_resumed', utterance: 3, replayMs: 2_000 }]);
    });

    it.each([
      ['failed', () => finish(3)],
      ['cancelled', () => cancel(3)],
    ])('counts it as %s when it is', async (outcome, end) => {
      resume();
      engine.failNextWrite = outcome === 'failed';
      await audio([6]);
      end();
      await turn();
      expect(await count(`voice_worker_resumed_utterances_total{outcome="${outcome}"}`)).toBe('1');
    });

    it('acknowledges at once the frames that are to be heard again, though none may be dropped', async () => {
      session = open(0);
      resume();
      engine.stall();
      await audio(range(6, 10));
      await audio(range(11, 12));
      clock.advance(LINK_ACK_INTERVAL_MS);
      // The start, and 25 frames up to where live audio begins.
      expect(told('ack').at(-1)?.frames).toBe(26);
    });
  });

  it('tells how long its engine took for the audio of an utterance, and of the next one anew', async () => {
    const worked = async (utterance: number, words: number, eachMs: number): Promise<void> => {
      start(utterance, told('final').length * 4 * SLOT_SAMPLES);
      for (let word = 1; word <= words; word += 1) {
        engine.stall();
        session.onFrame(speak([word]).subarray(0, 3_200), true);
        await turn();
        clock.advance(eachMs);
        engine.resume();
        await turn();
      }
      clock.advance(LINK_ACK_INTERVAL_MS);
    };
    await worked(1, 3, 40);
    expect(told('ack').at(-1)).toMatchObject({ takenSample: 4_800, workMs: 120 });
    finish(1);
    await turn();
    clock.advance(LINK_ACK_INTERVAL_MS);
    expect(told('ack').at(-1)).not.toHaveProperty('workMs');
    start(2, 4 * SLOT_SAMPLES);
    clock.advance(LINK_ACK_INTERVAL_MS);
    expect(told('ack').at(-1)).not.toHaveProperty('workMs');
    await worked(2, 2, 25);
    expect(told('ack').at(-1)).toMatchObject({ workMs: 50 });
  });

  it('tells of dropped audio', async () => {
    session = open(SECOND);
    start(1);
    engine.stall();
    await audio(range(1, 5));
    const samples = told('dropped').reduce((sum, event) => sum + event.samples, 0);
    expect(samples).toBe(2 * SECOND - SECOND - 1_280);
    expect(new Set(told('dropped').map((event) => event.maxBacklogSamples))).toEqual(
      new Set([SECOND]),
    );
    expect(Number(await count('voice_worker_dropped_audio_seconds_total'))).toBeCloseTo(0.92);
  });

  it('tells of a failed utterance, ignores the rest of its audio, and goes on with the next', async () => {
    start(1);
    engine.failNextWrite = true;
    await audio([1, 2]);
    finish(1);
    await turn();
    expect(told('failed')).toEqual([{ type: 'failed', utterance: 1, reason: 'engine_failed' }]);
    expect([told('final'), session.busy, idle]).toEqual([[], false, 1]);
    expect(logged).toMatchObject([
      { level: 'warn', event: 'stream_fault', utterance: 1, cause: 'other', recovering: false },
      { level: 'warn', event: 'engine_failed', utterance: 1, message: 'scripted failure' },
    ]);
    start(2, 2 * SLOT_SAMPLES);
    await audio([3]);
    finish(2);
    await turn();
    expect(told('final')[0]?.utterance).toBe(2);
  });

  it('drops the utterance under way when another starts', async () => {
    start(1);
    await audio([1, 2]);
    const before = sent.length;
    start(2, 2 * SLOT_SAMPLES);
    await audio([3]);
    finish(2);
    await turn();
    expect(sent.slice(before).every((event) => 'utterance' in event && event.utterance === 2)).toBe(
      true,
    );
    expect(engine.openStreams).toBe(0);
    expect(await count('voice_worker_utterances_total{outcome="cancelled"}')).toBe('1');
  });

  it('says nothing of a cancelled utterance, and minds neither finish nor cancel of another', async () => {
    start(1);
    await audio([1]);
    finish(7);
    cancel(7);
    expect(session.busy).toBe(true);
    const before = sent.length;
    cancel(1);
    finish(1);
    await audio([2]);
    expect(sent).toHaveLength(before);
    expect([session.busy, idle, engine.openStreams]).toEqual([false, 1, 0]);
  });

  it('ends its utterance and its timers when closed', async () => {
    start(1);
    await audio([1]);
    session.close();
    await turn();
    expect([engine.openStreams, clock.pending]).toEqual([0, 0]);
  });

  it('begins no utterance when it was closed as the one before ended', async () => {
    onIdle = () => session.close();
    start(1);
    await audio([1]);
    clock.advance(LINK_ACK_INTERVAL_MS);
    start(2);
    await audio([2]);
    expect([session.busy, engine.streams.length]).toEqual([false, 1]);
    expect([engine.openStreams, clock.pending]).toEqual([0, 0]);
  });

  it.each([
    'no json',
    '{"type":"explode"}',
    '{"type":"start","utterance":1}',
    '{"type":"hello","version":2,"session":"s","lease":{"token":"t","epoch":1,"tenant":"a"}}',
    '{"type":"start","utterance":1,"fromSample":0,"resume":{"heardSample":0,"words":[]}}',
  ])('throws on %s', (text) => {
    expect(() => session.onFrame(Buffer.from(text), false)).toThrow();
  });

  it('throws on half a sample', () => {
    start(1);
    expect(() => session.onFrame(Buffer.alloc(3), true)).toThrow('half a sample');
  });
});
