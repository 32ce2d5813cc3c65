import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import type { PhraseOutcome, SpeechEvent } from './phrase-queue.ts';
import { ScriptedEngine } from './scripted-engine.fixture.ts';
import { Speaker, type SpeakerOptions } from './speaker.ts';
import type { SpeakerSettings } from './tts-env.ts';

const SETTINGS: SpeakerSettings = {
  maxPhraseLength: 60,
  workers: 2,
  timeoutMs: 10_000,
  maxPending: 5,
};

/** Lets promises settle that wait for nothing but each other. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function rig(options: Partial<SpeakerOptions> = {}) {
  const engine = new ScriptedEngine();
  const clock = new FakeClock();
  const controller = new AbortController();
  const outcomes: PhraseOutcome[] = [];
  const speaker = new Speaker({
    engine,
    clock,
    settings: SETTINGS,
    signal: controller.signal,
    unit: 'phrases',
    onOutcome: (outcome) => outcomes.push(outcome),
    ...options,
  });
  const events: SpeechEvent[] = [];
  let isEnded = false;
  const reading = (async () => {
    for await (const event of speaker.events) events.push(event);
    isEnded = true;
  })();
  /** `speech 0`, `phrase_done 0`, ... */
  const told = (): string[] =>
    events.map((event) => `${event.type === 'error' ? event.code : event.type} ${event.phrase}`);
  return {
    engine,
    clock,
    controller,
    outcomes,
    speaker,
    events,
    reading,
    told,
    isEnded: () => isEnded,
  };
}

const sentence = (index: number): string => `This is sentence ${index}.`;
const sentences = (count: number): string =>
  Array.from({ length: count }, (_, index) => sentence(index)).join(' ');

describe('Speaker', () => {
  it('P26: speaks the first phrase while tokens still come, and tells what it made of it', async () => {
    const { engine, speaker, events, told } = rig();
    speaker.push('Hello there.');
    expect(engine.texts).toEqual([]);
    expect(speaker.hasPhrase).toBe(false);
    speaker.push(' How');
    expect(speaker.hasPhrase).toBe(true);
    expect(engine.texts).toEqual(['Hello there.']);
    engine.at('Hello there.').speak();
    await settle();
    expect(told()).toEqual(['speech 0', 'phrase_done 0']);
    const [speech] = events;
    if (speech?.type !== 'speech') throw new Error('no speech');
    const wav = Buffer.from(speech.audio, 'base64');
    expect(wav.toString('latin1', 0, 4)).toBe('RIFF');
    expect(wav.length).toBe(44 + 2 * 'Hello there.'.length);
    expect(speech.sampleRate).toBe(16_000);
  });

  it('P25: speaks what is left at the end, and then ends', async () => {
    const { engine, speaker, told, isEnded, reading, clock } = rig();
    speaker.push('One. Two');
    speaker.finish();
    expect(engine.texts).toEqual(['One.', 'Two']);
    engine.at('Two').speak();
    engine.at('One.').speak();
    await reading;
    expect(isEnded()).toBe(true);
    expect(told()).toEqual(['speech 0', 'phrase_done 0', 'speech 1', 'phrase_done 1']);
    expect(clock.pending).toBe(0);
  });

  it('P25: speaks what there is 700 ms after the last token', async () => {
    const { engine, speaker, clock } = rig();
    speaker.push('Let me');
    clock.advance(600);
    speaker.push(' think');
    clock.advance(699);
    expect(engine.texts).toEqual([]);
    clock.advance(1);
    expect(engine.texts).toEqual(['Let me think']);
  });

  it('P29: speaks two phrases at a time, never three', async () => {
    const { engine, speaker } = rig();
    speaker.push(`${sentences(5)} `);
    await settle();
    expect(engine.texts).toEqual([sentence(0), sentence(1)]);
    engine.at(sentence(1)).speak();
    await settle();
    expect(engine.texts).toEqual([sentence(0), sentence(1), sentence(2)]);
    expect(engine.mostAtATime).toBe(2);
  });

  it('tells of phrases in their order, whichever is spoken first', async () => {
    const { engine, speaker, told } = rig();
    speaker.push(`${sentences(3)} `);
    engine.at(sentence(1)).speak();
    await settle();
    engine.at(sentence(2)).speak();
    await settle();
    expect(told()).toEqual([]);
    engine.at(sentence(0)).speak();
    await settle();
    expect(told()).toEqual(
      [0, 1, 2].flatMap((phrase) => [`speech ${phrase}`, `phrase_done ${phrase}`]),
    );
  });

  it('P30: leaves a phrase out that takes 10 s, and speaks the later ones', async () => {
    const { engine, speaker, clock, told, outcomes, events } = rig();
    engine.isDeaf = true;
    speaker.push(`${sentences(3)} `);
    engine.at(sentence(1)).speak();
    await settle();
    engine.at(sentence(2)).speak();
    await settle();
    clock.advance(9_999);
    await settle();
    expect(told()).toEqual([]);
    clock.advance(1);
    await settle();
    expect(told()).toEqual([
      'tts_timeout 0',
      'speech 1',
      'phrase_done 1',
      'speech 2',
      'phrase_done 2',
    ]);
    expect(engine.at(sentence(0)).signal.aborted).toBe(true);
    expect(events[0]).toMatchObject({
      type: 'error',
      message: expect.stringContaining('too long'),
    });
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['spoken', 'spoken', 'timeout']);
    expect(outcomes[2]?.seconds).toBe(10);
  });

  it('P30: leaves a phrase out that fails, without telling the client why', async () => {
    const { engine, speaker, told, events, outcomes, reading } = rig();
    speaker.push(sentences(2));
    speaker.finish();
    engine.at(sentence(0)).fail(new Error('secret of the engine'));
    engine.at(sentence(1)).speak();
    await reading;
    expect(told()).toEqual(['tts_failed 0', 'speech 1', 'phrase_done 1']);
    expect(JSON.stringify(events[0])).not.toContain('secret');
    expect(outcomes[0]).toMatchObject({ outcome: 'failed', engine: 'scripted' });
    expect(outcomes[0]?.error?.cause).toEqual(new Error('secret of the engine'));
  });

  it('drops none, in their order, when nobody listens live', async () => {
    const { engine, speaker, told, reading } = rig({ live: false });
    speaker.push(`${sentences(100)} `);
    speaker.finish();
    for (let index = 0; index < 100; index += 1) {
      engine.at(sentence(index)).speak();
      await settle();
    }
    await reading;
    expect(engine.mostAtATime).toBe(SETTINGS.workers);
    expect(told()).toEqual(
      Array.from({ length: 100 }, (_, index) => [`speech ${index}`, `phrase_done ${index}`]).flat(),
    );
  });

  it.each([
    ['brackets', '['.repeat(65_536)],
    ['lines', `a${'\n'.repeat(65_000)}b`],
    ['bars', `a${' '.repeat(65_000)}|`],
  ])('takes a flood of %s in words of its own time', (_what, text) => {
    const { speaker } = rig({ unit: 'words' });
    const began = process.cpuUsage();
    speaker.push(`${text} c`);
    speaker.finish();
    expect(process.cpuUsage(began).user).toBeLessThan(1_500_000);
  });

  it('P31: of more than five that wait drops the oldest, never one that runs', async () => {
    const { engine, speaker, told, reading, outcomes } = rig();
    speaker.push(`${sentences(7)} `);
    await settle();
    expect(told()).toEqual([]);
    speaker.push(`${sentence(7)} ${sentence(8)}`);
    speaker.finish();
    await settle();
    expect(told()).toEqual(['phrase_dropped 2', 'phrase_dropped 3']);
    for (const index of [0, 1, 4, 5, 6, 7, 8]) {
      engine.at(sentence(index)).speak();
      await settle();
    }
    await reading;
    expect(engine.texts).toEqual([0, 1, 4, 5, 6, 7, 8].map(sentence));
    expect(told().filter((line) => line.startsWith('speech'))).toEqual(
      [0, 1, 4, 5, 6, 7, 8].map((phrase) => `speech ${phrase}`),
    );
    expect(outcomes.filter(({ outcome }) => outcome === 'dropped')).toHaveLength(2);
  });

  it.each(['signal', 'call', 'signal after the end'] as const)(
    'P33: an abort by %s stops what runs and ends without a word',
    async (by) => {
      const { engine, speaker, controller, told, reading, outcomes, clock } = rig();
      speaker.push(`${sentences(4)} And`);
      engine.at(sentence(0)).speak();
      await settle();
      expect(told()).toEqual(['speech 0', 'phrase_done 0']);
      if (by === 'signal after the end') speaker.finish();
      if (by === 'call') speaker.abort();
      else controller.abort();
      expect(engine.at(sentence(1)).signal.aborted).toBe(true);
      expect(engine.at(sentence(2)).signal.aborted).toBe(true);
      await reading;
      speaker.push(' more. And');
      speaker.finish();
      clock.advance(60_000);
      await settle();
      expect(told()).toEqual(['speech 0', 'phrase_done 0']);
      expect(engine.asked).toHaveLength(3);
      expect(outcomes).toHaveLength(1);
      expect(clock.pending).toBe(0);
    },
  );

  it('P33: speech that nobody has read yet is not told after an abort either', async () => {
    const { engine, speaker, told, controller, reading } = rig();
    speaker.push('Hello there. How');
    engine.at('Hello there.').speak();
    await Promise.resolve();
    controller.abort();
    await reading;
    expect(told()).toEqual([]);
  });

  it('aborts when its reader leaves', async () => {
    const engine = new ScriptedEngine();
    const clock = new FakeClock();
    const { signal } = new AbortController();
    const speaker = new Speaker({ engine, clock, settings: SETTINGS, signal, unit: 'phrases' });
    speaker.push(`${sentences(3)} And`);
    engine.at(sentence(0)).speak();
    for await (const event of speaker.events) if (event.type === 'speech') break;
    expect(engine.at(sentence(1)).signal.aborted).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('does nothing for a turn that was cancelled before', async () => {
    const { engine, speaker, reading } = rig({ signal: AbortSignal.abort() });
    speaker.push('Hello. There');
    speaker.finish();
    await reading;
    expect(engine.asked).toEqual([]);
  });

  it('has no phrase for what cannot be said, and says no Markdown', async () => {
    const { engine, speaker, reading } = rig();
    speaker.push('😀 !\n\n**Hello** `world`. ... *** ? # Next [one](http://x.y/z).');
    speaker.finish();
    expect(engine.texts).toEqual(['Hello world.', 'Next one.']);
    for (const { speak } of engine.asked) speak();
    await reading;
  });

  it('ends at once when a reply had nothing to say', async () => {
    const { speaker, events, reading } = rig();
    speaker.finish();
    await reading;
    expect(events).toEqual([]);
  });

  it('speaks by words where that is asked for, with voice and language', async () => {
    const { engine, speaker } = rig({ unit: 'words', voice: 'rms', language: 'en' });
    speaker.push('one two three four five six seven');
    expect(engine.asked[0]?.phrase).toEqual({
      text: 'one two three four',
      voice: 'rms',
      language: 'en',
    });
    speaker.finish();
    expect(engine.texts).toEqual(['one two three four', 'five six seven']);
  });

  it('hands a word without end to the engine in pieces', () => {
    const { engine, speaker } = rig({ unit: 'words' });
    speaker.push('x'.repeat(150));
    speaker.finish();
    expect(engine.texts[0]).toBe('x'.repeat(60));
  });

  it('begins no more phrases while 32 wait for a reader', async () => {
    const engine = new ScriptedEngine();
    const speaker = new Speaker({
      engine,
      clock: new FakeClock(),
      settings: { ...SETTINGS, maxPending: 100 },
      signal: new AbortController().signal,
      unit: 'phrases',
    });
    speaker.push(`${sentences(50)} `);
    for (let round = 0; round < 60; round += 1) {
      for (const { speak } of engine.asked) speak();
      await settle();
    }
    expect(engine.asked).toHaveLength(32);
    const reader = speaker.events[Symbol.asyncIterator]();
    for (let event = 0; event < 2; event += 1) await reader.next();
    expect(engine.asked).toHaveLength(33);
    await reader.return?.();
  });
});
