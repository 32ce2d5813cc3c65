import { describe, expect, it } from '@jest/globals';
import type { TurnEvent } from '@voice-fleet/protocol/turn';
import { readWav, writeWav } from '@voice-fleet/speech/wav';
import { collectReply } from './spoken-reply.ts';

async function* turn(...events: TurnEvent[]): AsyncGenerator<TurnEvent> {
  yield { type: 'started', model: 'm' };
  yield* events;
}
const token = (text: string): TurnEvent => ({ type: 'token', text, done: false });
const speech = (phrase: number, samples: number, sampleRate = 16_000): TurnEvent => ({
  type: 'speech',
  phrase,
  audio: writeWav(Buffer.alloc(2 * samples, 1), sampleRate).toString('base64'),
  sampleRate,
  durationMs: (samples / sampleRate) * 1000,
});
const complete: TurnEvent = { type: 'complete', outcome: 'spoken', tokens: 2, phrases: 2 };

describe('a spoken reply', () => {
  it('is all tokens, and all phrases in one WAV file', async () => {
    const reply = await collectReply(
      turn(token('One.'), speech(0, 100), token(' Two.'), speech(1, 50), complete),
    );
    expect(reply).toMatchObject({ text: 'One. Two.', model: 'm', missingPhrases: 0 });
    const { pcm, sampleRate } = readWav(reply.wav ?? Buffer.alloc(0));
    expect([pcm.length, sampleRate]).toEqual([2 * 150, 16_000]);
  });

  it('has the rate of its first phrase, whatever the others have', async () => {
    const { wav } = await collectReply(
      turn(speech(0, 22_050, 22_050), speech(1, 16_000, 16_000), complete),
    );
    const { pcm, sampleRate } = readWav(wav ?? Buffer.alloc(0));
    expect([pcm.length, sampleRate]).toEqual([2 * 2 * 22_050, 22_050]);
  });

  it('counts the phrases that are missing, and has no file when all are', async () => {
    const failed = { type: 'error', code: 'tts_failed', message: '', phrase: 0 } as const;
    const reply = await collectReply(turn(failed, { type: 'phrase_dropped', phrase: 1 }, complete));
    expect(reply).toMatchObject({ wav: undefined, missingPhrases: 2 });
  });

  it.each(['llm_timeout', 'llm_failed'] as const)('fails with %s of its model', async (code) => {
    const events = turn(token('One'), { type: 'error', code, message: '' });
    await expect(collectReply(events)).rejects.toMatchObject({ code });
  });

  it('fails when its turn breaks off, and when it never ends', async () => {
    await expect(collectReply(turn(token('One')))).rejects.toMatchObject({ code: 'llm_failed' });
    async function* endless(): AsyncGenerator<TurnEvent> {
      for (let phrase = 0; ; phrase += 1) yield speech(phrase, 1_000_000);
    }
    await expect(collectReply(endless())).rejects.toMatchObject({ code: 'tts_failed' });
  });
});
