import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { MS, Rig, word } from './listen.fixture.ts';

describe('a listening session', () => {
  let rig: Rig;

  beforeEach(async () => {
    rig = await Rig.open(new FakeClock());
  });

  it('begins an utterance with the first audio, and tells what its client made of it', () => {
    rig.audio(100);
    rig.partial([word(' one', 0, 50)], ' tw');
    rig.audio(100);
    rig.commit();
    expect(rig.link.calls).toEqual(['start 1 from 0', 'audio 3200', 'audio 3200', 'finish 1']);
    rig.final(word(' two', 60, 180));
    expect(rig.story()).toEqual([
      'heard 1 one + tw',
      'committed 1 0-200 client',
      'heard 1 two +',
      'transcribed 1 one two',
    ]);
    const [{ utteranceId, words, usage } = {}] = rig.told('transcribed');
    expect(utteranceId).toMatch(/^utt_[0-9a-f]{24}$/);
    expect(words).toEqual([word(' one', 0, 50), word(' two', 60, 180)]);
    expect(usage).toEqual({ promptTokens: 5, completionTokens: 2 });
  });

  it('refuses a commit of nothing, and goes on', () => {
    expect(() => rig.commit()).toThrow(new VoiceError('empty_commit'));
    rig.audio(100);
    rig.commit();
    expect(() => rig.commit()).toThrow(new VoiceError('empty_commit'));
    expect(rig.story()).toEqual(['committed 1 0-100 client']);
  });

  it('answers listen with what is in force', () => {
    rig.listen({ endpointing: { silenceMs: 10 }, quietMs: 1_000.4, language: 'en' });
    const [answer] = rig.told('listening');
    expect(answer?.session.id).toBe('sess_1');
    expect(answer?.options).toEqual({
      endpointing: { silenceMs: 100 },
      quietMs: 1_000,
      language: 'en',
    });
  });

  it('ends an utterance when its speaker is silent, and begins the next', () => {
    rig.speakers();
    rig.audio(1_000);
    rig.speech('started', 300);
    rig.partial([word(' one', 300, 400)]);
    rig.speech('ended', 480);
    expect(rig.link.calls).toEqual(['start 1 from 0 to 500', 'audio 32000', 'finish 1']);
    rig.final();
    rig.audio(200);
    rig.speech('started', 1_100);
    expect(rig.story()).toEqual([
      'speech-began 1 at 300',
      'heard 1 one +',
      'speech-ended 1 at 480',
      'committed 1 0-1000 endpoint',
      'transcribed 1 one',
      'speech-began 2 at 1100',
    ]);
    expect(rig.link.calls.slice(3)).toEqual(['start 2 from 16000 to 500', 'audio 6400']);
  });

  it('tells of no speaker twice, whatever worker tells it', () => {
    rig.speakers();
    rig.audio(1_000);
    rig.speech('started', 300);
    rig.speech('started', 350);
    expect(rig.story()).toEqual(['speech-began 1 at 300']);
  });

  it('holds audio that comes before a final, and commits it too', () => {
    rig.audio(100);
    rig.commit();
    rig.audio(200);
    rig.commit();
    rig.audio(50);
    expect(rig.link.calls).toEqual(['start 1 from 0', 'audio 3200', 'finish 1']);
    rig.final(word(' one', 0, 90));
    expect(rig.link.calls.slice(3)).toEqual(['start 2 from 1600', 'audio 6400', 'finish 2']);
    rig.final(word(' two', 110, 290));
    expect(rig.story()).toEqual([
      'committed 1 0-100 client',
      'committed 2 100-300 client',
      'heard 1 one +',
      'transcribed 1 one',
      'heard 2 two +',
      'transcribed 2 two',
    ]);
    expect(rig.link.calls.slice(6)).toEqual(['start 3 from 4800', 'audio 1600']);
  });

  it('gives the worker two seconds more than its engine has taken, so that nothing is dropped', () => {
    for (let second = 0; second < 5; second += 1) rig.audio(1_000);
    expect(rig.session.totals.acceptedSamples).toBe(2_000 * MS);
    rig.taken(1_500);
    expect(rig.session.totals.acceptedSamples).toBe(3_500 * MS);
    rig.taken(4_000);
    expect(rig.session.totals.acceptedSamples).toBe(5_000 * MS);
    rig.audio(100);
    expect(rig.session.totals.acceptedSamples).toBe(5_100 * MS);
  });

  it('does not read its client while a minute of audio waits', () => {
    for (let second = 0; second < 63; second += 1) rig.audio(1_000);
    expect(rig.sink.holds).toEqual([true]);
    for (let ms = 1_000; ms < 32_000; ms += 1_000) rig.taken(ms);
    expect(rig.sink.holds).toEqual([true, false]);
  });

  it('cuts an utterance at its length to the sample, and goes on with the rest', () => {
    rig.listen({ maxUtteranceMs: 1_500 });
    rig.sink.events.length = 0;
    for (let part = 0; part < 4; part += 1) rig.audio(400);
    rig.commit();
    rig.final();
    rig.final();
    expect(rig.story()).toEqual([
      'committed 1 0-1500 length',
      'committed 2 1500-1600 client',
      'transcribed 1 ',
      'transcribed 2 ',
    ]);
    expect(rig.session.totals.acceptedSamples).toBe(1_600 * MS);
  });

  it('counts the length from where somebody speaks, as silence is no utterance', () => {
    rig.speakers({ maxUtteranceMs: 1_000 });
    for (let ms = 0; ms < 3_000; ms += 500) {
      rig.audio(500);
      rig.taken(ms);
    }
    expect(rig.story()).toEqual([]);
    rig.speech('started', 2_600);
    rig.audio(500);
    rig.audio(500);
    expect(rig.story()).toEqual([
      'speech-began 1 at 2600',
      'speech-ended 1 at 3600',
      'committed 1 0-3600 length',
    ]);
  });

  describe('makes no cut through a word', () => {
    const LOUD = 8_000;
    const committed = (): string[] => rig.story().filter((line) => line.startsWith('committed'));

    it('where audio comes faster than it is spoken, so that somebody speaks already', () => {
      rig.speakers();
      rig.audio(400, LOUD);
      rig.audio(600);
      rig.audio(500, LOUD);
      rig.speech('started', 0);
      rig.speech('ended', 400);
      expect(committed()).toEqual([]);
      rig.audio(100);
      rig.audio(500);
      // After 200 ms of silence, in steps of 20 ms.
      expect(committed()).toEqual(['committed 1 0-1700 endpoint']);
      rig.final();
      expect(rig.session.totals.acceptedSamples).toBe(2_100 * MS);
    });

    it('where it is as long as it may be', () => {
      rig.listen({ maxUtteranceMs: 1_000 });
      rig.audio(1_100, LOUD);
      rig.audio(300);
      expect(committed()).toEqual(['committed 1 0-1300 length']);
    });

    it('unless there is no pause, or no more audio', () => {
      rig.listen({ maxUtteranceMs: 1_000 });
      for (let part = 0; part < 8; part += 1) {
        rig.audio(400, LOUD);
        rig.taken(400 * part);
      }
      expect(committed()).toEqual(['committed 1 0-3000 length']);
      rig.final();
      rig.audio(900, LOUD);
      rig.clock.advance(1_000);
      expect(committed().slice(1)).toEqual(['committed 2 3000-4100 length']);
    });
  });

  it('lets the open utterance go, and counts its audio all the same', () => {
    rig.audio(100);
    rig.pipeline.apply({ kind: 'clear' });
    rig.pipeline.apply({ kind: 'clear' });
    rig.utterance = 2;
    rig.audio(100);
    rig.partial([word(' two', 120, 180)]);
    rig.commit();
    rig.audio(100);
    rig.pipeline.apply({ kind: 'clear' });
    rig.final();
    rig.audio(100);
    rig.utterance = 3;
    // The session has never seen what was let go while it had no room.
    rig.partial([word(' three', 210, 290)]);
    expect(rig.story()).toEqual([
      'cleared 1',
      'cleared nothing',
      'heard 2 two +',
      'committed 2 100-200 client',
      'cleared 3',
      'transcribed 2 two',
      'heard 4 three +',
    ]);
    expect(rig.told('heard').at(-1)?.words).toEqual([word(' three', 310, 390)]);
  });

  it('tells a slow reader of words when their utterance is over, each once', () => {
    rig.audio(100);
    rig.partial([word(' one', 0, 20)]);
    rig.pipeline.onLoad({ events: 50, chars: 0 });
    rig.partial([word(' two', 20, 40)], ' th');
    rig.partial([word(' three', 40, 60)]);
    rig.commit();
    rig.final(word(' four', 60, 80));
    expect(rig.story()).toEqual([
      'heard 1 one +',
      'committed 1 0-100 client',
      'heard 1 two three four +',
      'transcribed 1 one two three four',
    ]);
  });

  it('ends when all is transcribed that came before finish', () => {
    rig.audio(100);
    rig.commit();
    rig.audio(100);
    rig.pipeline.apply({ kind: 'finish' });
    rig.audio(100);
    rig.final();
    expect(rig.sink.ends).toEqual([]);
    rig.final(word(' two', 110, 190));
    expect(rig.story()).toEqual([
      'committed 1 0-100 client',
      'committed 2 100-200 finish',
      'transcribed 1 ',
      'heard 2 two +',
      'transcribed 2 two',
      'ended',
    ]);
    expect(rig.sink.ends).toEqual([{ kind: 'ended' }]);
  });

  it('still cuts what waits where its speaker pauses, after finish too', () => {
    rig.speakers();
    for (let part = 0; part < 4; part += 1) rig.audio(1_000);
    rig.pipeline.apply({ kind: 'finish' });
    rig.speech('started', 100);
    rig.speech('ended', 500);
    rig.final(word(' one', 100, 500));
    rig.final();
    expect(rig.story().slice(2)).toEqual([
      'committed 1 0-2000 endpoint',
      'heard 1 one +',
      'transcribed 1 one',
      'committed 2 2000-4000 finish',
      'transcribed 2 ',
      'ended',
    ]);
  });

  it('ends at once when nothing was said', () => {
    rig.pipeline.apply({ kind: 'finish' });
    expect(rig.story()).toEqual(['ended']);
  });

  it('goes on as it is told to from then on, also amid an utterance', () => {
    rig.audio(100);
    rig.listen({ endpointing: { silenceMs: 500 } });
    rig.final();
    rig.audio(100);
    rig.speech('started', 110);
    rig.speech('ended', 150);
    rig.final();
    rig.audio(100);
    rig.listen({});
    rig.speech('started', 210);
    rig.speech('ended', 250);
    rig.commit();
    expect(rig.story()).toEqual([
      'committed 1 0-100 length',
      'listening',
      'transcribed 1 ',
      'speech-began 2 at 110',
      'speech-ended 2 at 150',
      'committed 2 100-200 endpoint',
      'transcribed 2 ',
      'listening',
      'committed 3 200-300 client',
    ]);
    expect(rig.link.calls).toContain('start 2 from 1600 to 500');
  });

  it('takes several commands in one frame', () => {
    rig.pipeline.apply({
      kind: 'several',
      commands: [
        { kind: 'audio', utteranceId: undefined, pcm: Buffer.alloc(3200) },
        { kind: 'finalize', utteranceId: undefined },
      ],
    });
    expect(rig.story()).toEqual(['committed 1 0-100 client']);
  });

  it('fails an utterance whose final does not come in time, and hears what was said meanwhile', () => {
    rig.audio(100);
    rig.commit();
    rig.clock.advance(5_000);
    rig.audio(100);
    rig.commit();
    rig.clock.advance(5_000);
    expect(rig.story().slice(2)).toEqual(['failed 1 asr_timeout']);
    rig.clock.advance(250);
    expect(rig.link.calls.slice(3)).toEqual([
      'cancel 1',
      'start 2 from 1600',
      'audio 3200',
      'finish 2',
    ]);
  });

  it('fails an utterance whose engine takes nothing', () => {
    for (let second = 0; second < 4; second += 1) rig.audio(1_000);
    rig.clock.advance(9_999);
    rig.taken(500);
    rig.clock.advance(9_999);
    expect(rig.story()).toEqual([]);
    rig.clock.advance(1);
    // What the session had not got is heard in the next.
    expect(rig.story()).toEqual(['committed 1 0-2500 length', 'failed 1 asr_timeout']);
    rig.clock.advance(250);
    expect(rig.link.calls).toContain('start 2 from 40000');
  });

  it('tries again later and later when one utterance after the other fails', () => {
    for (const pauseMs of [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]) {
      rig.audio(100);
      rig.clock.advance(pauseMs);
      const { utteranceId = '' } = rig.session.keep ?? {};
      rig.pipeline.event({ kind: 'error', error: new VoiceError('engine_failed'), utteranceId });
      rig.clock.advance(pauseMs - 1);
      expect(rig.session.busy).toBe(false);
    }
    expect(rig.told('failed')).toHaveLength(7);
    expect(rig.told('error')).toEqual([]);
    rig.clock.advance(1);
    rig.audio(100);
    rig.utterance = 8;
    rig.commit();
    rig.final(word(' one', 0, 50));
    rig.audio(100);
    expect(rig.session.busy).toBe(true);
  });

  it('goes on when an engine stands still, which ends other sessions', async () => {
    rig.audio(100);
    for (let loss = 0; loss < 6; loss += 1) {
      rig.worker.onStalled();
      await turn();
      rig.clock.advance(4_000);
      await turn();
    }
    expect(rig.story()).toEqual(['committed 1 0-100 length', 'failed 1 inbound_queue_full']);
    expect(rig.sink.ends).toEqual([]);
    rig.audio(100);
    rig.clock.advance(250);
    expect(rig.session.busy).toBe(true);
  });

  it('tells nothing of an utterance that failed before anything was said', () => {
    rig.speakers();
    rig.audio(100);
    rig.pipeline.event({
      kind: 'error',
      error: new VoiceError('engine_failed'),
      utteranceId: rig.session.keep?.utteranceId ?? '',
    });
    rig.audio(100);
    rig.clock.advance(250);
    rig.utterance = 2;
    rig.speech('started', 150);
    expect(rig.story()).toEqual(['speech-began 1 at 150']);
  });

  it('gives a final its full time again when its worker was lost', async () => {
    rig.audio(100);
    rig.commit();
    rig.clock.advance(9_000);
    rig.worker.onLost('gone');
    rig.clock.advance(4_000);
    await turn();
    await turn();
    rig.clock.advance(9_000);
    expect(rig.story()).toEqual(['committed 1 0-100 client']);
    expect(rig.sink.moves).toEqual(['lost']);
    rig.final(word(' one', 0, 50));
    expect(rig.story().at(-1)).toBe('transcribed 1 one');
  });

  it('passes errors on that are about no utterance', () => {
    rig.pipeline.event({ kind: 'error', error: new VoiceError('invalid_message') });
    expect(rig.story()).toEqual(['error']);
  });

  it('tells nothing more and leaves no timer when it is stopped', async () => {
    rig.speakers({ quietMs: 1_000 });
    rig.audio(600);
    rig.speech('started', 200);
    rig.speech('ended', 400);
    await rig.pipeline.stop();
    await rig.session.close();
    rig.sink.events.length = 0;
    rig.clock.advance(60_000);
    expect(rig.story()).toEqual([]);
    expect(rig.clock.pending).toBe(0);
  });
});
