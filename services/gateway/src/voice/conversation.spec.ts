import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { TurnEvent } from '@voice-fleet/protocol/turn';
import { readWav } from '@voice-fleet/speech/wav';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { Rig } from './conversation.fixture.ts';

const TOKEN: TurnEvent = { type: 'token', text: 'yes', done: false };
const DONE: TurnEvent = { type: 'token', text: '', done: true };
const COMPLETE: TurnEvent = { type: 'complete', outcome: 'spoken', tokens: 1, phrases: 1 };
const speech = (phrase: number): TurnEvent => ({
  type: 'speech',
  phrase,
  audio: 'wav',
  sampleRate: 16_000,
  durationMs: 1,
});

describe('a conversation', () => {
  let rig: Rig;

  beforeEach(() => {
    rig = new Rig(new FakeClock());
  });

  function codeOf(run: () => void): string {
    try {
      run();
    } catch (error) {
      if (error instanceof VoiceError) return error.code;
      throw error;
    }
    return 'allowed';
  }

  describe('captures', () => {
    it('P9: partials of the whole text, guesses included, when they are due', () => {
      rig.start();
      rig.audio(400, { live: true });
      rig.hears('one', ' tw');
      expect(rig.told()).toEqual(['started']);
      rig.audio(100);
      rig.clock.advance(100);
      expect(rig.sink.events).toEqual([{ kind: 'transcript', utteranceId: 's.1', text: 'one tw' }]);
      rig.hears(' two', ' th');
      rig.audio(900, { live: true });
      expect(rig.sink.events).toHaveLength(1);
      rig.audio(200, { live: true });
      expect(rig.sink.events.at(-1)).toMatchObject({ text: 'one two th' });
    });

    it('P9: tells no partial once the end has begun, though one was due', () => {
      rig.start();
      rig.audio(1000);
      rig.hears('one');
      rig.hears(' two');
      rig.stop();
      rig.hears(' three');
      rig.clock.advance(5000);
      expect(rig.told()).toEqual(['started', 'transcript', 'finalizing']);
    });

    it('P34: spaces partials out while the client reads slowly', () => {
      rig.start();
      rig.conversation.onLoad({ events: 50, chars: 0 });
      rig.told();
      let text = 0;
      for (let n = 0; n < 12; n += 1) {
        rig.hears(' w');
        rig.audio(1000, { live: true });
        text += rig.told().length;
      }
      expect(text).toBe(4);
      rig.conversation.onLoad({ events: 10, chars: 0 });
      expect(rig.told()).toEqual(['backpressure_off']);
    });

    it('P14: as much as fits, by audio and by the clock', async () => {
      rig = new Rig(new FakeClock(), { maxUtteranceMs: 1000 });
      rig.start();
      rig.audio(900);
      rig.conversation.apply({
        kind: 'audio',
        utteranceId: undefined,
        pcm: Buffer.alloc(32 * 1000),
      });
      expect(rig.asked.slice(-2)).toEqual(['audio 140', 'finish']);
      expect(rig.told()).toEqual(['started', 'max_duration_exceeded', 'finalizing']);
      await rig.final('words');
      rig.cancel();
      rig.told();
      rig.start();
      rig.clock.advance(999);
      expect(rig.told()).toEqual(['started']);
      rig.clock.advance(1);
      expect(rig.told()).toEqual(['max_duration_exceeded', 'finalizing']);
    });

    it('leaves the end to its client where that asks for it', () => {
      rig.start({ endpointing: false });
      expect(rig.asked).toEqual(['start s.1']);
      rig.conversation.speech('started', 's.1', 0);
      rig.conversation.speech('ended', 's.1', 160);
      expect(rig.told()).toEqual(['started']);
    });

    it('P13: nothing of its own between finalizing and final', async () => {
      rig.start();
      rig.audio(1000);
      rig.stop();
      rig.told();
      rig.conversation.onLoad({ events: 60, chars: 0 });
      rig.conversation.onLoad({ events: 0, chars: 0 });
      expect(rig.told()).toEqual([]);
      await rig.final('one');
      expect(rig.told()).toEqual(['final', 'backpressure_on', 'backpressure_off']);
    });

    it('fails when no final comes, and lets the utterance go', () => {
      rig.start();
      rig.audio(1000);
      rig.stop();
      rig.told();
      rig.clock.advance(10_000);
      expect(rig.told()).toEqual(['asr_timeout', 'marks']);
      expect(rig.asked.at(-1)).toBe('drop');
      expect(rig.clock.pending).toBe(0);
    });

    it('ends an utterance that its session ends, as when the day is used up', async () => {
      rig.start({ mode: 'transcribe' });
      rig.audio(1000);
      await rig.final('one');
      expect(rig.told()).toEqual(['started', 'finalizing', 'final', 'marks']);
      expect(rig.conversation.busy).toBe(false);
    });

    it('P35: one advice when the engine was too slow twice', async () => {
      rig.start();
      for (const second of [1, 2, 3]) {
        rig.audio(1000, { live: true });
        rig.conversation.engineTook(second * 16_000, second * 1600);
      }
      expect(rig.told()).toEqual(['started', 'rtf_advisory']);
      rig.stop();
      await rig.final('');
      expect(rig.sink.events).toContainEqual({
        kind: 'decode',
        utteranceId: 's.1',
        runs: 3,
        ms: 4800,
      });
      const decodes = rig.logged.filter(({ event }) => event === 'decode');
      expect(decodes.map(({ rtf }) => rtf)).toEqual([1.6, 1.6, 1.6]);
    });
  });

  describe('answers', () => {
    it('with what llm-tts says, and its marks before the end', async () => {
      await rig.said(' one two ');
      expect(rig.turns[0]?.request).toEqual({ tenant: 't', conversation: 's', text: 'one two' });
      rig.clock.advance(200);
      await rig.turns[0]?.say(TOKEN);
      rig.clock.advance(300);
      await rig.turns[0]?.say(speech(0), { type: 'phrase_done', phrase: 0 }, DONE);
      expect(rig.told()).toEqual(['token', 'speech', 'phrase-done', 'done']);
      await rig.turns[0]?.say(COMPLETE, undefined);
      const wall = rig.clock.wallNow();
      expect(rig.sink.events).toEqual([
        {
          kind: 'marks',
          utteranceId: 's.1',
          marks: { t0: wall - 500, t2: wall - 500, t3: wall - 300, t4: wall },
        },
        { kind: 'speech-complete', utteranceId: 's.1' },
      ]);
      expect(rig.conversation.busy).toBe(false);
      expect(rig.clock.pending).toBe(0);
    });

    it.each<[string, (TurnEvent | Error | undefined)[], string[]]>([
      [
        'that cannot be reached',
        [new VoiceError('llm_failed', { cause: 'refused' })],
        ['llm_failed', 'marks'],
      ],
      ['that fails in another way', [new Error('odd')], ['llm_failed', 'marks']],
      ['that is silent', [], ['llm_failed', 'marks']],
      [
        'that tells of a timeout',
        [
          { type: 'error', code: 'llm_timeout', message: 'm' },
          { type: 'complete', outcome: 'failed', tokens: 0, phrases: 0 },
          undefined,
        ],
        ['llm_timeout', 'marks'],
      ],
      [
        'that breaks off when some was heard',
        [speech(0), new VoiceError('llm_failed')],
        ['speech', 'llm_failed', 'marks', 'speech-complete'],
      ],
    ])('P44: an llm-tts %s costs the turn, not the session', async (_what, steps, told) => {
      await rig.said('one');
      await rig.turns[0]?.say(...steps);
      rig.clock.advance(40_000);
      await turn();
      expect(rig.told()).toEqual(told);
      await rig.said('two');
      expect(rig.turns).toHaveLength(2);
    });

    it('spoken as the client asks for', async () => {
      rig.start({ speech: { unit: 'words', language: 'en' } });
      rig.stop();
      await rig.final('one');
      expect(rig.turns[0]?.request).toMatchObject({ unit: 'words', language: 'en' });
    });

    it('mode chat: straight from the audio of the utterance', async () => {
      rig.start({ mode: 'chat', reply: { chunk_size_words: 2 } });
      rig.audio(1000);
      rig.stop();
      await rig.final('');
      expect(readWav(rig.chats[0]?.request.wav ?? Buffer.alloc(0)).pcm.length).toBe(32_000);
      expect(rig.chats[0]?.request.options).toMatchObject({
        chunk_size_words: 2,
        mode: 'conversation',
      });
      const chunk = { success: true, text: 'hi', chunk_index: 0, processing_time_ms: 1 };
      await rig.chats[0]?.say({ ...chunk, is_final: true }, undefined);
      expect(rig.told()).toEqual(['started', 'finalizing', 'final', 'chunk', 'marks']);
    });

    it('a fault of the chat model is no end of the session', async () => {
      rig.start({ mode: 'chat' });
      rig.audio(1000);
      rig.stop();
      await rig.final('');
      rig.told();
      await rig.chats[0]?.say(new VoiceError('model_load_failed'));
      expect(rig.told()).toEqual(['llm_failed', 'marks']);
    });

    it('P33: nothing after a cancel, and the turn is left at once', async () => {
      await rig.said('one');
      await rig.turns[0]?.say(TOKEN);
      rig.told();
      rig.cancel();
      expect(rig.turns[0]?.signal.aborted).toBe(true);
      await rig.turns[0]?.say(TOKEN, DONE, COMPLETE, undefined);
      expect(rig.told()).toEqual(['marks', 'cancelled']);
      expect(rig.clock.pending).toBe(0);
    });

    it('reads a reply no further than its client does', async () => {
      await rig.said('one');
      rig.conversation.onLoad({ events: 50, chars: 0 });
      await rig.turns[0]?.say(TOKEN, TOKEN);
      expect(rig.told()).toEqual(['backpressure_on', 'token']);
      rig.conversation.onLoad({ events: 0, chars: 0 });
      await turn();
      expect(rig.told()).toEqual(['backpressure_off', 'token']);
    });

    it('P46: ends with its connection', async () => {
      await rig.said('one');
      rig.audio(100);
      await rig.conversation.stop();
      expect(rig.turns[0]?.signal.aborted).toBe(true);
      expect(rig.clock.pending).toBe(0);
    });
  });

  describe('listens amid a reply', () => {
    it('from the first frame on, and the speaker who is heard ends the reply', async () => {
      await rig.said('one');
      await rig.turns[0]?.say(TOKEN);
      rig.told();
      rig.asked.length = 0;
      rig.audio(300);
      expect(rig.asked).toEqual(['start s.2 to 700', 'audio 100', 'audio 100', 'audio 100']);
      rig.hears('wait');
      rig.audio(700);
      // Heard 400 ms before the end of what came.
      rig.conversation.speech('started', 's.2', rig.totals.acceptedSamples - 400 * 16);
      expect(rig.turns[0]?.signal.aborted).toBe(true);
      expect(rig.told()).toEqual(['marks', 'barge_in']);
      rig.audio(100, { live: true });
      expect(rig.told()).toEqual(['transcript']);
      rig.conversation.speech('started', 's.2', 0);
      rig.conversation.speech('ended', 's.2', 0);
      const saidMs = rig.clock.wallNow();
      await rig.final('wait now');
      rig.cancel();
      expect(rig.sink.events.find(({ kind }) => kind === 'marks')).toMatchObject({
        marks: { t0: saidMs - 500, t2: saidMs },
      });
    });

    it('P32: what came before the final is not lost', async () => {
      rig.start();
      rig.audio(1000);
      rig.stop();
      rig.asked.length = 0;
      rig.audio(200);
      expect(rig.asked).toEqual([]);
      await rig.final('one', 1);
      expect(rig.asked).toEqual(['start s.2 to 700', 'audio 200']);
    });

    it('to nothing, and lets it go with the reply', async () => {
      await rig.said('one');
      rig.audio(300);
      rig.hears('noise');
      await rig.turns[0]?.say(TOKEN, DONE, COMPLETE, undefined);
      expect(rig.asked.at(-1)).toBe('drop');
      rig.told();
      rig.conversation.speech('started', 's.2', 0);
      expect(rig.told()).toEqual([]);
    });

    it('not again in a reply in which the engine failed at it', async () => {
      await rig.said('one');
      rig.audio(100);
      const error = new VoiceError('engine_failed');
      rig.conversation.event({ kind: 'error', error, utteranceId: 's.2' });
      rig.asked.length = 0;
      rig.audio(500);
      expect([rig.asked, rig.told()]).toEqual([[], []]);
      await rig.turns[0]?.say(COMPLETE, undefined);
      await rig.said('two');
      rig.audio(100);
      expect(rig.asked.at(-2)).toBe('start s.4 to 700');
    });

    it('to no more than a start, which takes its place', async () => {
      await rig.said('one');
      rig.audio(100);
      rig.start();
      expect(rig.turns[0]?.signal.aborted).toBe(true);
      expect(rig.told()).toEqual(['started']);
      rig.conversation.speech('started', 's.2', 0);
      expect(rig.told()).toEqual([]);
    });
  });

  describe('audio that belongs to nothing', () => {
    it('P4: ends the session before the first start', () => {
      expect(codeOf(() => rig.audio(100))).toBe('protocol_violation');
    });

    it('is refused once after a cancel, and after the end of what a stop ended', async () => {
      rig.start({ mode: 'transcribe' });
      rig.cancel();
      expect(codeOf(() => rig.audio(100))).toBe('not_started');
      expect(codeOf(() => rig.audio(500))).toBe('allowed');
      rig.start({ mode: 'transcribe' });
      rig.stop();
      await rig.final('');
      expect(codeOf(() => rig.audio(100))).toBe('not_started');
    });

    it('is let go for a second when the server ended the utterance', async () => {
      rig.start({ mode: 'transcribe' });
      rig.conversation.speech('ended', 's.1', 0);
      await rig.final('one');
      expect(codeOf(() => rig.audio(100))).toBe('allowed');
      rig.clock.advance(1000);
      expect(codeOf(() => rig.audio(100))).toBe('not_started');
    });

    it('a late stop is let go, and one before any start is not', async () => {
      expect(codeOf(() => rig.stop())).toBe('not_started');
      rig.start({ mode: 'transcribe' });
      rig.conversation.speech('ended', 's.1', 0);
      await rig.final('one');
      rig.told();
      rig.stop();
      expect(rig.told()).toEqual([]);
    });
  });
});
