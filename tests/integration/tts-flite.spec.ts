import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PocketsphinxEngine } from '@voice-fleet/asr-worker/engines/pocketsphinx/engine';
import { FliteEngine } from '@voice-fleet/llm-tts/tts/flite';
import { FliteThread } from '@voice-fleet/llm-tts/tts/flite-thread';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { systemClock as clock } from '@voice-fleet/runtime/clock';
import { rmsDbfs } from '@voice-fleet/speech/level';
import { readWav } from '@voice-fleet/speech/wav';
import { joinText } from '@voice-fleet/speech/words';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';

const never = new AbortController().signal;

let flite: FliteEngine;
beforeAll(async () => {
  flite = await FliteEngine.start({ clock, voice: 'slt', threads: 2 });
});
afterAll(() => flite.stop());

async function hear(wav: Buffer): Promise<string> {
  const sphinx = new PocketsphinxEngine({ clock, log: () => {}, slots: 1 });
  await sphinx.start();
  try {
    const stream = sphinx.open({});
    const pause = Buffer.alloc(16_000);
    await stream.write(Buffer.concat([pause, readWav(wav).pcm, pause]));
    stream.finish();
    let text = '';
    for await (const event of stream.events) {
      if (event.kind === 'words') text += joinText(event.words);
    }
    return text;
  } finally {
    await sphinx.stop();
  }
}

describe('FliteEngine', () => {
  it.each(['slt', 'rms', 'awb', 'kal16'])('speaks with the voice %s', async (voice) => {
    const text = 'Good morning, the weather is fine today.';
    const audio = await flite.synthesize({ text, voice }, never);
    const { pcm, sampleRate, channels } = readWav(audio.wav);
    expect({ sampleRate, channels }).toEqual({ sampleRate: 16_000, channels: 1 });
    expect(audio.durationMs).toBeGreaterThan(1_500);
    expect(audio.durationMs).toBeLessThan(5_000);
    expect(rmsDbfs(pcm)).toBeGreaterThan(-35);
  });

  it('speaks with its own voice when it does not know the one asked for', async () => {
    const [own, other, unknown] = await Promise.all(
      [undefined, 'rms', 'alloy'].map((voice) =>
        flite.synthesize({ text: 'Hello.', ...(voice && { voice }) }, never),
      ),
    );
    expect(unknown?.wav.equals(own?.wav ?? Buffer.alloc(0))).toBe(true);
    expect(other?.wav.equals(own?.wav ?? Buffer.alloc(0))).toBe(false);
  });

  it('is understood by the engine that hears', async () => {
    const text = 'The quick brown fox jumps over the lazy dog.';
    const { wav } = await flite.synthesize({ text, voice: 'rms' }, never);
    const heard = (await hear(wav)).toLowerCase().split(' ');
    const said = text.toLowerCase().replace('.', '').split(' ');
    expect(said.filter((word) => heard.includes(word)).length).toBeGreaterThanOrEqual(7);
  });

  it.each(['--version', '-5 degrees', '"quoted" $(echo) `x`', 'Grüße aus “Köln” …'])(
    'takes %j for text, whatever it looks like',
    async (text) => {
      const { wav } = await flite.synthesize({ text }, never);
      expect(rmsDbfs(readWav(wav).pcm)).toBeGreaterThan(-40);
    },
  );

  it.each([
    ['letters it does not know', 'Привет'],
    ['nonsense without end', 'x'.repeat(5_000)],
  ])('refuses %s at once', async (_what, text) => {
    const refused = flite.synthesize({ text }, never);
    await expect(refused).rejects.toBeInstanceOf(VoiceError);
    await expect(refused).rejects.toMatchObject({ code: 'tts_failed' });
  });

  it('lets go of phrases that are aborted, running or not, and speaks the next', async () => {
    const controller = new AbortController();
    const texts = ['One is this.', 'Two is this.', 'Three is this.', 'Four is this.'];
    const all = texts.map((text) => flite.synthesize({ text }, controller.signal));
    const settled = Promise.allSettled(all);
    const reason = new Error('enough');
    controller.abort(reason);
    for (const one of await settled) expect(one).toMatchObject({ status: 'rejected', reason });
    const { durationMs } = await flite.synthesize({ text: 'Five is this.' }, never);
    expect(durationMs).toBeGreaterThan(500);
  });

  it('ends a thread that does not come to its end after an abort, and goes on with another', async () => {
    const turned = new FakeClock();
    const engine = await FliteEngine.start({ clock: turned, voice: 'slt', threads: 1 });
    const controller = new AbortController();
    const slow = engine.synthesize({ text: 'x'.repeat(400) }, controller.signal);
    slow.catch(() => undefined);
    controller.abort(new Error('enough'));
    await expect(slow).rejects.toThrow('enough');
    expect(turned.pending).toBe(1);
    turned.advance(500);
    const { durationMs } = await engine.synthesize({ text: 'Next.' }, never);
    expect(durationMs).toBeGreaterThan(100);
    expect(turned.pending).toBe(0);
    await engine.stop();
    await expect(engine.synthesize({ text: 'Late.' }, never)).rejects.toMatchObject({
      code: 'tts_failed',
    });
  });

  it('fails what waits for it when it is stopped', async () => {
    const engine = await FliteEngine.start({ clock, voice: 'slt', threads: 1 });
    const all = Promise.allSettled(
      ['One.', 'Two.', 'Three.'].map((text) => engine.synthesize({ text }, never)),
    );
    await engine.stop();
    for (const one of await all) {
      expect(one).toMatchObject({ status: 'rejected', reason: { code: 'tts_failed' } });
    }
  });
});

describe('FliteThread', () => {
  it.each([
    ['throws', "throw new Error('boom')", 'boom'],
    ['exits', 'process.exit(3)', 'code 3'],
    [
      'dies at its work',
      "require('node:worker_threads').parentPort.on('message', () => process.exit(4))",
      'code 4',
    ],
  ])('fails the phrase whose thread %s, and starts another for the next', async (_, code, why) => {
    let started = 0;
    const thread = new FliteThread({ [Symbol.toStringTag]: 'WebAssembly.Module' }, () => {
      started += 1;
      return new Worker(code, { eval: true });
    });
    await expect(thread.speak('Hello.', 'slt')).rejects.toThrow(why);
    expect(thread.isBusy).toBe(false);
    await expect(thread.speak('Hello.', 'slt')).rejects.toThrow(why);
    expect(started).toBe(2);
    await thread.stop();
  });
});
