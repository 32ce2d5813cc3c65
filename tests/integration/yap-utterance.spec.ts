import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { range, speak, transcript } from '../support/spoken-words.ts';

describe('an utterance over /api/asr-streaming', () => {
  let fleet: Fleet;
  let engine: ScriptedEngine;

  beforeAll(async () => {
    engine = new ScriptedEngine({ slots: 8 });
    fleet = await Fleet.start([engine]);
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  it('gives tokens, then one final, then one done, all with its own ids (Y13, Y14, Y16)', async () => {
    const client = await fleet.client();
    const words = range(1, 8);
    client.say('utt-1', speak(words));
    const done = await client.next('done');
    const types = client.of('utt-1').map((frame) => frame.type);
    expect(types.slice(-2)).toEqual(['final', 'done']);
    expect(types.slice(0, -2).length).toBeGreaterThan(0);
    expect(new Set(types.slice(0, -2))).toEqual(new Set(['token']));
    expect(client.text('utt-1')).toBe(transcript(words));
    const final = await client.next('final');
    expect(final.payload.normalized_text).toBe(transcript(words));
    expect(final.session_id).toBe('s1');
    const { prompt_tokens, completion_tokens, total_tokens } = done.payload.usage;
    expect(prompt_tokens).toBe(words.length * 5);
    expect(completion_tokens).toBe(words.length);
    expect(total_tokens).toBe(prompt_tokens + completion_tokens);
  });
});
