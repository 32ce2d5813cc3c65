import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PocketsphinxEngine } from '@voice-fleet/asr-worker/engines/pocketsphinx/engine';
import { systemClock as clock } from '@voice-fleet/runtime/clock';
import { readWav } from '@voice-fleet/speech/wav';
import { frames } from '@voice-fleet/testkit/coded-speech';
import { sphinxHearing } from '../support/sphinx-hearing.ts';
import { VllmFleet } from '../support/vllm-fleet.ts';

/** Set by `npm test` where the packages are unpacked instead of installed. */
const RECORDINGS = process.env['VF_SAMPLE_DIR'] ?? '/usr/share/pocketsphinx/test/data/librivox';

describe('a recording of a human voice, over a vLLM that hears real speech', () => {
  let engine: PocketsphinxEngine;
  let vllm: VllmFleet;
  beforeAll(async () => {
    engine = new PocketsphinxEngine({ clock, slots: 2 });
    await engine.start();
    // The stand-in for the card takes its time; it is not what is tested here.
    vllm = await VllmFleet.start(
      { hear: () => sphinxHearing(engine) },
      { VLLM_STALL_S: '20', VLLM_DONE_S: '20' },
    );
  });
  afterAll(async () => {
    await vllm[Symbol.asyncDispose]();
    await engine.stop();
  });

  it.each([
    ['0930', /^he might even have been made amiable him ?self$/],
    ['0870', /\w+( \w+){3,}/],
  ])('%s comes back as words, also when the connection breaks amid it', async (name, expected) => {
    const file = `sense_and_sensibility_01_austen_64kb-${name}.wav`;
    const { pcm } = readWav(readFileSync(join(RECORDINGS, file)));
    const client = await vllm.fleet.client();
    const hear = async (id: string): Promise<string> => {
      client.start(id);
      for (const frame of frames(pcm)) client.append(id, frame);
      client.finalize(id);
      return (await client.next('final')).payload.normalized_text;
    };
    const undisturbed = await hear('a');
    expect(undisturbed).toMatch(expected);
    vllm.fake.faults.arm({ kind: 'close', afterDeltas: 25, code: 1006 });
    const disturbed = await hear('b');
    // The engine hears a sentence anew from its middle: not the same to the letter, but none of it missing or twice.
    const [words, others] = [undisturbed, disturbed].map((text) => text.split(' ').length);
    expect(Math.abs((words ?? 0) - (others ?? 0))).toBeLessThanOrEqual(2);
  });
});
