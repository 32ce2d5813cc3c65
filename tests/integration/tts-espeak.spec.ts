import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startTtsEngine } from '@voice-fleet/llm-tts/tts/engines';
import { EspeakNg } from '@voice-fleet/llm-tts/tts/espeak-ng';
import { ttsEnv, ttsSettings } from '@voice-fleet/llm-tts/tts/tts-env';
import { systemClock as clock } from '@voice-fleet/runtime/clock';
import { parseEnv } from '@voice-fleet/runtime/env';
import { turnEnv } from '@voice-fleet/runtime/turn-env';
import { rmsDbfs } from '@voice-fleet/speech/level';
import { readWav } from '@voice-fleet/speech/wav';
import { z } from 'zod';

const never = new AbortController().signal;
const installed = await EspeakNg.find(2);
await installed?.stop();
/** Shown as skipped where it is not installed. */
const ifInstalled = installed ? it : it.skip;

const settings = (env: NodeJS.ProcessEnv) =>
  ttsSettings(parseEnv(z.object({ ...ttsEnv, ...turnEnv }), env));

describe('espeak-ng that is not installed', () => {
  const { PATH } = process.env;
  beforeEach(() => {
    process.env['PATH'] = '/nowhere';
  });
  afterEach(() => {
    process.env['PATH'] = PATH;
  });

  it('is not found', async () => {
    expect(await EspeakNg.find(2)).toBeUndefined();
  });

  it('is a fault of the configuration if it was asked for, and otherwise leaves all to flite', async () => {
    await expect(
      startTtsEngine(settings({ STREAM_TTS_ENGINE: 'espeak-ng' }), { clock }),
    ).rejects.toThrow('STREAM_TTS_ENGINE is espeak-ng, which is not installed');
    const engine = await startTtsEngine(settings({}), { clock });
    const spoken = await engine?.synthesize({ text: 'Guten Tag.', language: 'de' }, never);
    expect(spoken?.sampleRate).toBe(16_000);
    await expect(
      engine?.synthesize({ text: 'Привет.', language: 'ru' }, never),
    ).rejects.toMatchObject({ code: 'tts_failed' });
    await engine?.stop();
  });
});

describe('espeak-ng as installed here', () => {
  let espeak: EspeakNg;
  beforeEach(async () => {
    const found = await EspeakNg.find(2);
    if (found) espeak = found;
  });
  afterEach(() => espeak?.stop());

  ifInstalled.each([
    ['de', 'Guten Tag, wie geht es dir?'],
    ['ru', 'Привет, как дела?'],
    ['en', '--version is what I say'],
  ])('speaks %s, with a header that is true', async (language, text) => {
    const audio = await espeak.synthesize({ text, language }, never);
    expect(audio.wav.readUInt32LE(40)).toBe(audio.wav.length - 44);
    expect(audio.durationMs).toBeGreaterThan(500);
    expect(audio.durationMs).toBeLessThan(10_000);
    expect(rmsDbfs(readWav(audio.wav).pcm)).toBeGreaterThan(-40);
  });

  ifInstalled('lets go of aborted phrases, running or waiting, and speaks the next', async () => {
    const controller = new AbortController();
    const texts = Array.from({ length: 6 }, (_, index) => `This is number ${index}.`);
    const all = Promise.allSettled(
      texts.map((text) => espeak.synthesize({ text }, controller.signal)),
    );
    const reason = new Error('enough');
    controller.abort(reason);
    for (const one of await all) expect(one).toMatchObject({ status: 'rejected', reason });
    const { durationMs } = await espeak.synthesize({ text: 'Next.' }, never);
    expect(durationMs).toBeGreaterThan(100);
  });

  ifInstalled('fails what it does, and what waits, when it is stopped', async () => {
    const all = Promise.allSettled(
      ['One.', 'Two.', 'Three.', 'Four.'].map((text) => espeak.synthesize({ text }, never)),
    );
    await espeak.stop();
    const ends = await all;
    expect(ends.at(-1)).toMatchObject({ status: 'rejected', reason: { code: 'tts_failed' } });
  });

  ifInstalled('speaks what flite cannot, and leaves English to it', async () => {
    const engine = await startTtsEngine(settings({}), { clock });
    const rates = [];
    for (const phrase of [
      { text: 'Guten Tag.', language: 'de' },
      { text: 'Привет.' },
      { text: 'Hello.', language: 'en-GB' },
      { text: 'Hello.' },
    ]) {
      rates.push((await engine?.synthesize(phrase, never))?.sampleRate);
    }
    expect(rates).toEqual([22_050, 22_050, 16_000, 16_000]);
    await engine?.stop();
  });
});
