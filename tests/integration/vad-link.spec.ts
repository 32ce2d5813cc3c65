import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { LinkEvent } from '@voice-fleet/protocol/link';
import {
  frames,
  range,
  SLOT_SAMPLES,
  silence,
  speak,
  WORD_SAMPLES,
} from '@voice-fleet/testkit/coded-speech';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { type CodedVad, codedVad } from '../support/coded-vad.ts';
import { type LinkPeer, LinkWorker } from '../support/link-peer.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

const FRAME = 512;
const ENDPOINT = { silenceMs: 700 };

describe('the ends of speech on the link', () => {
  let clock: FakeClock;
  let vad: CodedVad;
  let worker: LinkWorker;
  let peer: LinkPeer;

  beforeEach(async () => {
    clock = new FakeClock();
    vad = codedVad();
    worker = await LinkWorker.start({ engine: new ScriptedEngine(), vad, clock });
    peer = await worker.linked('s');
  });
  afterEach(() => worker[Symbol.asyncDispose]());

  async function send(...parts: Buffer[]): Promise<void> {
    for (const frame of frames(Buffer.concat(parts))) peer.audio(frame);
    await peer.heard();
  }

  /** As pongs and events come in one order, all there is was told. */
  const spoken = (): Partial<LinkEvent>[] =>
    peer.events.filter(({ type }) => type === 'speech_started' || type === 'speech_ended');

  it('are told at the samples where they lie, once, amid the words', async () => {
    const from = 5 * SLOT_SAMPLES;
    peer.start(1, from, undefined, ENDPOINT);
    await send(silence(320), speak(range(1, 3)), silence(1_000), speak([4]), silence(1_000));
    const started = from + 0.32 * 16_000;
    const [first, last] = spoken() as { sample: number }[];
    expect(spoken()).toEqual([
      { type: 'speech_started', utterance: 1, sample: expect.any(Number) },
      { type: 'speech_ended', utterance: 1, sample: expect.any(Number) },
    ]);
    expect(Math.abs((first?.sample ?? 0) - started)).toBeLessThanOrEqual(FRAME);
    const ended = started + 2 * SLOT_SAMPLES + WORD_SAMPLES;
    expect(Math.abs((last?.sample ?? 0) - ended)).toBeLessThanOrEqual(FRAME);
    peer.finish(1);
    await peer.told('final');
    expect(peer.words.map(({ text }) => text.trim())).toEqual(['w1', 'w2', 'w3', 'w4']);
  });

  it('are told by the clock when the client sends no more (P11)', async () => {
    peer.start(1, 0, undefined, ENDPOINT);
    await send(speak(range(1, 3)));
    clock.advance(600);
    await peer.heard();
    expect(spoken()).toHaveLength(1);
    clock.advance(300);
    await peer.told('speech_ended');
  });

  it('are not told of silence, nor where nobody asked, which opens no stream', async () => {
    peer.start(1);
    await send(speak(range(1, 3)), silence(2_000));
    expect([spoken(), vad.streams]).toEqual([[], 0]);
    peer.start(2, 0, undefined, ENDPOINT);
    await send(silence(5_000));
    clock.advance(20_000);
    await peer.heard();
    expect([spoken(), vad.streams]).toEqual([[], 1]);
  });

  it.each([
    ['finished', () => peer.finish(1)],
    ['cancelled', () => peer.send({ type: 'cancel', utterance: 1 })],
    ['followed by another', () => peer.start(2, 9 * SLOT_SAMPLES)],
    ['left with its link', () => peer.socket.terminate()],
  ])('are not told of an utterance that was %s', async (_, end) => {
    peer.start(1, 0, undefined, ENDPOINT);
    await send(speak(range(1, 3)));
    expect(vad.openStreams).toBe(1);
    end();
    await until(() => vad.openStreams === 0, 'its stream is closed');
    clock.advance(5_000);
    await (await worker.linked('t')).heard();
    expect(spoken()).toHaveLength(1);
  });

  it('are found by the next worker in what it hears again, and told again', async () => {
    const resume = { heardSample: 0, liveSample: 3 * SLOT_SAMPLES, words: [] };
    peer.start(1, 0, resume, ENDPOINT);
    await send(speak(range(1, 3)));
    expect(spoken()).toMatchObject([{ type: 'speech_started', utterance: 1, sample: 0 }]);
    clock.advance(900);
    await peer.told('speech_ended');
  });

  it('are told by the next worker too when it hears nothing but the silence behind the words', async () => {
    const words = [{ text: 'w1', startSample: SLOT_SAMPLES, endSample: 2 * SLOT_SAMPLES }];
    const heardSample = 3 * SLOT_SAMPLES;
    peer.start(1, heardSample, { heardSample, liveSample: heardSample + 3_200, words }, ENDPOINT);
    await send(silence(200));
    expect(spoken()).toMatchObject([{ type: 'speech_started', sample: SLOT_SAMPLES }]);
    clock.advance(700);
    expect(await peer.told('speech_ended')).toMatchObject({ sample: heardSample });
  });

  it('are told by the next worker that knows only that somebody spoke', async () => {
    const resume = { heardSample: 9_000, liveSample: 9_000, words: [] };
    peer.start(1, 9_000, resume, { ...ENDPOINT, begun: true });
    await peer.heard();
    clock.advance(900);
    expect(await peer.told('speech_ended')).toMatchObject({ sample: 9_000 });
  });
});
