import { afterEach, describe, expect, it } from '@jest/globals';
import { range, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { stopwatch } from '../support/stopwatch.ts';
import { until } from '../support/until.ts';
import type { VoiceSocket } from '../support/voice-socket.ts';

let fleet: Fleet;
afterEach(() => fleet[Symbol.asyncDispose]());

const TRANSCRIBE = { mode: 'transcribe' } as const;

/** The partials of one utterance, which is spoken live. */
async function partialsOf(socket: VoiceSocket, pcm: Buffer): Promise<string[]> {
  const before = socket.of('partial_transcript').length;
  socket.start(TRANSCRIBE);
  await socket.speakLive(pcm);
  socket.stop();
  await socket.latency();
  return socket
    .of('partial_transcript')
    .slice(before)
    .map(({ text }) => text);
}

describe('partials', () => {
  it('P9, P10: are the whole text so far, changed each time, as often as configured, before the final', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], { STREAM_PARTIAL_INTERVAL_MS: '250' });
    await fleet.addGateway({ STREAM_PARTIAL_INTERVAL_MS: '3000' });
    await until(async () => (await fleet.get('/readyz', 1)).status === 200, 'both are ready');
    const [often, rarely] = await Promise.all([fleet.voice(), fleet.voice({ gateway: 1 })]);
    const pcm = speak(range(1, 10));
    const [many, few] = await Promise.all([partialsOf(often, pcm), partialsOf(rarely, pcm)]);
    expect(many.length).toBeGreaterThanOrEqual(7);
    expect(few.length).toBeGreaterThanOrEqual(1);
    expect(few.length).toBeLessThanOrEqual(2);
    const whole = transcript(range(1, 10));
    for (const partials of [many, few]) {
      expect(new Set(partials).size).toBe(partials.length);
      for (const text of partials) expect(whole.startsWith(text)).toBe(true);
    }
    const { story } = often;
    expect(story.lastIndexOf('partial_transcript')).toBeLessThan(story.indexOf('finalize_pending'));
  });

  it('P10: do not come of less than half a second of audio', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], { STREAM_PARTIAL_INTERVAL_MS: '250' });
    const socket = await fleet.voice();
    expect(await partialsOf(socket, speak([1]))).toEqual([]);
    expect(socket.of('final_transcript')[0]?.text).toBe('w1');
  });
});

describe('the end of an utterance', () => {
  it('P11, P13: comes by the clock when the client sends no more after speech', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], { STREAM_VAD_SILENCE_MS: '500' });
    const socket = await fleet.voice();
    socket.start(TRANSCRIBE);
    await socket.speakLive(speak([1, 2]));
    const took = stopwatch();
    const final = await socket.next('final_transcript');
    const tookMs = took();
    expect(final.text).toBe('w1 w2');
    expect(tookMs).toBeLessThan(800);
    const { story } = socket;
    expect(story[story.indexOf('final_transcript') - 1]).toBe('finalize_pending');
    expect(socket.of('finalize_pending')[0]?.reason).toBe('vad_silence_timeout');
  });

  it('P11, P14: never comes by silence alone, but by the length of the utterance', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], {
      STREAM_VAD_SILENCE_MS: '300',
      STREAM_MAX_UTTERANCE_MS: '1500',
    });
    const socket = await fleet.voice();
    socket.start(TRANSCRIBE);
    socket.speak(silence(1400));
    expect(await socket.next('error')).toMatchObject({
      code: 'MAX_DURATION_EXCEEDED',
      recoverable: true,
    });
    const final = await socket.next('final_transcript');
    expect(final.text).toBe('');
    expect(socket.story.slice(2)).toEqual([
      'MAX_DURATION_EXCEEDED',
      'finalize_pending',
      'final_transcript',
      ...(socket.story.includes('decode') ? ['decode'] : []),
      'latency',
    ]);
    expect(socket.of('finalize_pending')[0]?.reason).toBe('max_utterance_timeout');
  });

  it('P14: comes with the words of an utterance that is too long, and four per cent more at the most', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], { STREAM_MAX_UTTERANCE_MS: '2000' });
    const socket = await fleet.voice();
    socket.start({ ...TRANSCRIBE, endpointing: false });
    // 1.8 s, and a frame that ends after 3.6 s.
    const pcm = speak(range(1, 9));
    socket.sendRaw(pcm.subarray(0, 1.8 * 32_000));
    socket.sendRaw(pcm.subarray(1.8 * 32_000));
    await socket.coded('MAX_DURATION_EXCEEDED');
    // The sixth word begins at 2.0 s, where 80 ms of it are left.
    expect((await socket.next('final_transcript')).text).toBe(transcript(range(1, 5)));
    await socket.latency();
    expect(fleet.workers).toHaveLength(1);
    socket.say(speak([7]), TRANSCRIBE);
    expect((await socket.next('final_transcript')).text).toBe('w7');
  });

  it('P12: is left to the client that wants no endpointing', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], { STREAM_VAD_SILENCE_MS: '300' });
    const socket = await fleet.voice();
    socket.start({ ...TRANSCRIBE, endpointing: false });
    await socket.speakLive(Buffer.concat([speak([1]), silence(800), speak([2])]));
    socket.stop();
    expect((await socket.next('final_transcript')).text).toBe('w1 w2');
    expect(socket.of('finalize_pending').map(({ reason }) => reason)).toEqual(['explicit_stop']);
  });

  it('a final that does not come in time is ASR_TIMEOUT, and the next utterance works', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine], { STREAM_ASR_TIMEOUT_S: '1' });
    const socket = await fleet.voice();
    engine.stall();
    socket.say(speak([1]), TRANSCRIBE);
    expect(await socket.next('error')).toMatchObject({ code: 'ASR_TIMEOUT', recoverable: true });
    await socket.latency();
    engine.resume();
    expect(socket.of('final_transcript')).toEqual([]);
    socket.say(speak([2]), TRANSCRIBE);
    expect((await socket.next('final_transcript')).text).toBe('w2');
  });
});

describe('an engine or a worker in trouble', () => {
  it('P44: an engine that fails is ASR_FAIL, and the next utterance works', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine], { STT_MAX_RECOVERIES: '0' });
    const socket = await fleet.voice();
    engine.failNextWrite = true;
    socket.say(speak([1]), TRANSCRIBE);
    expect(await socket.next('error')).toMatchObject({ code: 'ASR_FAIL', recoverable: true });
    await socket.latency();
    // Nobody has heard what comes late of it.
    socket.speak(speak([9]));
    socket.say(speak([2]), TRANSCRIBE);
    expect((await socket.next('final_transcript')).text).toBe('w2');
    expect(socket.of('error')).toHaveLength(1);
  });

  it('loses no word when its worker dies amid an utterance, and still ends by silence', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], { WORKER_DRAIN_S: '0' });
    const socket = await fleet.voice();
    await fleet.addWorker(new ScriptedEngine());
    socket.start(TRANSCRIBE);
    await socket.speakLive(speak(range(1, 5)));
    await fleet.workers.shift()?.close();
    await socket.speakLive(speak(range(6, 8)));
    expect((await socket.next('final_transcript')).text).toBe(transcript(range(1, 8)));
    expect(socket.of('finalize_pending')[0]?.reason).toBe('vad_silence_timeout');
    expect(socket.of('error')).toEqual([]);
  });

  it('ends by silence at another worker that hears nothing but that', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], {
      WORKER_DRAIN_S: '0',
      STREAM_VAD_SILENCE_MS: '2000',
    });
    const socket = await fleet.voice();
    await fleet.addWorker(new ScriptedEngine());
    socket.start(TRANSCRIBE);
    await socket.speakLive(Buffer.concat([speak([1, 2]), silence(400)]));
    await until(() => socket.of('partial_transcript').length > 0, 'words are settled');
    await fleet.workers.shift()?.close();
    expect((await socket.next('final_transcript')).text).toBe('w1 w2');
    expect(socket.of('finalize_pending')[0]?.reason).toBe('vad_silence_timeout');
  });
});
