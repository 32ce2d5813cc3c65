import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { LinkWord } from '@voice-fleet/protocol/link';
import type { ListenOptions, SessionEvent } from '@voice-fleet/protocol/session';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import type { LinkListener } from '../session/link.ts';
import { FakeLink, FakeRoute, FakeSink } from '../session/session.fixture.ts';
import { Session } from '../session/session.ts';
import { ListenPipeline } from './listen-pipeline.ts';

const MS = 16;
const LIMITS = {
  idleTimeoutMs: 150_000,
  maxDurationMs: undefined,
  watchdogTickMs: 1_000,
  messagesPerWindow: 0,
  messageWindowMs: 60_000,
  cancelsPerWindow: 0,
  cancelWindowMs: 60_000,
  inboundQueueMax: 7,
  failover: { timeoutMs: 30_000, maxLosses: 5 },
};

describe('a listening session', () => {
  let clock: FakeClock;
  let sink: FakeSink;
  let link: FakeLink;
  let route: FakeRoute;
  let session: Session;
  let pipeline: ListenPipeline;
  let utterance: number;
  /** What the link asked for last reports to. */
  const worker = new Proxy({} as LinkListener, {
    get: (_, name) => Reflect.get(route.requests.at(-1)?.listener ?? {}, name),
  });

  beforeEach(async () => {
    clock = new FakeClock();
    sink = new FakeSink();
    link = new FakeLink();
    route = new FakeRoute();
    route.answers = [async () => link];
    utterance = 1;
    pipeline = new ListenPipeline(sink, { clock, asrTimeoutMs: 10_000 });
    session = new Session({ id: 'sess_1', clock, limits: LIMITS, sink: pipeline, route });
    pipeline.attach(session);
    const info = await session.open({ waitMs: 0 });
    pipeline.event({ kind: 'created', session: info });
    sink.events.length = 0;
  });

  const listen = (options: ListenOptions): void => pipeline.apply({ kind: 'listen', options });
  const speakers = (options: ListenOptions = {}): void => {
    listen({ endpointing: { silenceMs: 500 }, ...options });
    sink.events.length = 0;
  };
  const audio = (ms: number): void =>
    pipeline.apply({ kind: 'audio', utteranceId: undefined, pcm: Buffer.alloc(2 * ms * MS) });
  const commit = (): void => pipeline.apply({ kind: 'finalize', utteranceId: undefined });
  const word = (text: string, fromMs: number, toMs: number): LinkWord => ({
    text,
    startSample: fromMs * MS,
    endSample: toMs * MS,
  });
  const partial = (words: LinkWord[], tail = ''): void =>
    worker.onUtterance({ type: 'partial', utterance, words, tail });
  /** The worker is done with the utterance that it has. */
  const final = (...words: LinkWord[]): void => {
    const usage = { promptTokens: 5, completionTokens: 2 };
    worker.onUtterance({ type: 'final', utterance: utterance++, words, ...usage });
  };
  const speech = (moment: 'started' | 'ended', ms: number): void =>
    worker.onUtterance({ type: `speech_${moment}`, utterance, sample: ms * MS });
  /** The engine keeps up. */
  const taken = (ms: number): void => worker.onTaken(ms * MS, undefined);
  const told = <K extends SessionEvent['kind']>(kind: K): Extract<SessionEvent, { kind: K }>[] =>
    sink.events.filter((event): event is Extract<SessionEvent, { kind: K }> => event.kind === kind);
  /** Events with their times in ms, and ids as numbers in the order in which they were first told. */
  function story(): string[] {
    const ids: string[] = [];
    const number = (id: string): number => {
      if (!ids.includes(id)) ids.push(id);
      return ids.indexOf(id) + 1;
    };
    return sink.events.map((event) => {
      switch (event.kind) {
        case 'speech-began':
        case 'speech-ended':
          return `${event.kind} ${number(event.utteranceId)} at ${event.sample / MS}`;
        case 'committed': {
          const { utteranceId, fromSample, toSample, cause } = event;
          return `committed ${number(utteranceId)} ${fromSample / MS}-${toSample / MS} ${cause}`;
        }
        case 'heard':
          return `heard ${number(event.utteranceId)}${event.words.map(({ text }) => text).join('')} +${event.tail}`;
        case 'transcribed':
          return `transcribed ${number(event.utteranceId)} ${event.text}`;
        case 'failed':
          return `failed ${number(event.utteranceId)} ${event.error.code}`;
        case 'quiet':
          return `quiet since ${event.sample / MS}`;
        case 'cleared':
          return `cleared ${event.utteranceId === undefined ? 'nothing' : number(event.utteranceId)}`;
        default:
          return event.kind;
      }
    });
  }

  it('begins an utterance with the first audio, and tells what its client made of it', () => {
    audio(100);
    partial([word(' one', 0, 50)], ' tw');
    audio(100);
    commit();
    expect(link.calls).toEqual(['start 1 from 0', 'audio 3200', 'audio 3200', 'finish 1']);
    final(word(' two', 60, 180));
    expect(story()).toEqual([
      'heard 1 one + tw',
      'committed 1 0-200 client',
      'heard 1 two +',
      'transcribed 1 one two',
    ]);
    const [{ utteranceId, words, usage } = {}] = told('transcribed');
    expect(utteranceId).toMatch(/^utt_[0-9a-f]{24}$/);
    expect(words).toEqual([word(' one', 0, 50), word(' two', 60, 180)]);
    expect(usage).toEqual({ promptTokens: 5, completionTokens: 2 });
  });

  it('refuses a commit of nothing, and goes on', () => {
    expect(commit).toThrow(new VoiceError('empty_commit'));
    audio(100);
    commit();
    expect(commit).toThrow(new VoiceError('empty_commit'));
    expect(story()).toEqual(['committed 1 0-100 client']);
  });

  it('answers listen with what is in force', () => {
    listen({ endpointing: { silenceMs: 10 }, quietMs: 1_000.4, language: 'en' });
    const [answer] = told('listening');
    expect(answer?.session.id).toBe('sess_1');
    expect(answer?.options).toEqual({
      endpointing: { silenceMs: 100 },
      quietMs: 1_000,
      language: 'en',
    });
  });

  it('ends an utterance when its speaker is silent, and begins the next', () => {
    speakers();
    audio(1_000);
    speech('started', 300);
    partial([word(' one', 300, 400)]);
    speech('ended', 480);
    expect(link.calls).toEqual(['start 1 from 0 to 500', 'audio 32000', 'finish 1']);
    final();
    audio(200);
    speech('started', 1_100);
    expect(story()).toEqual([
      'speech-began 1 at 300',
      'heard 1 one +',
      'speech-ended 1 at 480',
      'committed 1 0-1000 endpoint',
      'transcribed 1 one',
      'speech-began 2 at 1100',
    ]);
    expect(link.calls.slice(3)).toEqual(['start 2 from 16000 to 500', 'audio 6400']);
  });

  it('tells of no speaker twice, whatever worker tells it', () => {
    speakers();
    audio(1_000);
    speech('started', 300);
    speech('started', 350);
    expect(story()).toEqual(['speech-began 1 at 300']);
  });

  it('holds audio that comes before a final, and commits it too', () => {
    audio(100);
    commit();
    audio(200);
    commit();
    audio(50);
    expect(link.calls).toEqual(['start 1 from 0', 'audio 3200', 'finish 1']);
    final(word(' one', 0, 90));
    expect(link.calls.slice(3)).toEqual(['start 2 from 1600', 'audio 6400', 'finish 2']);
    final(word(' two', 110, 290));
    expect(story()).toEqual([
      'committed 1 0-100 client',
      'committed 2 100-300 client',
      'heard 1 one +',
      'transcribed 1 one',
      'heard 2 two +',
      'transcribed 2 two',
    ]);
    expect(link.calls.slice(6)).toEqual(['start 3 from 4800', 'audio 1600']);
  });

  it('gives the worker two seconds more than its engine has taken, so that nothing is dropped', () => {
    for (let second = 0; second < 5; second += 1) audio(1_000);
    expect(session.totals.acceptedSamples).toBe(2_000 * MS);
    taken(1_500);
    expect(session.totals.acceptedSamples).toBe(3_500 * MS);
    taken(4_000);
    expect(session.totals.acceptedSamples).toBe(5_000 * MS);
    audio(100);
    expect(session.totals.acceptedSamples).toBe(5_100 * MS);
  });

  it('does not read its client while a minute of audio waits', () => {
    for (let second = 0; second < 63; second += 1) audio(1_000);
    expect(sink.holds).toEqual([true]);
    for (let ms = 1_000; ms < 32_000; ms += 1_000) taken(ms);
    expect(sink.holds).toEqual([true, false]);
  });

  it('cuts an utterance at its length to the sample, and goes on with the rest', () => {
    listen({ maxUtteranceMs: 1_500 });
    sink.events.length = 0;
    for (let part = 0; part < 4; part += 1) audio(400);
    commit();
    final();
    final();
    expect(story()).toEqual([
      'committed 1 0-1500 length',
      'committed 2 1500-1600 client',
      'transcribed 1 ',
      'transcribed 2 ',
    ]);
    expect(session.totals.acceptedSamples).toBe(1_600 * MS);
  });

  it('counts the length from where somebody speaks, as silence is no utterance', () => {
    speakers({ maxUtteranceMs: 1_000 });
    for (let ms = 0; ms < 3_000; ms += 500) {
      audio(500);
      taken(ms);
    }
    expect(story()).toEqual([]);
    speech('started', 2_600);
    audio(500);
    audio(500);
    expect(story()).toEqual([
      'speech-began 1 at 2600',
      'speech-ended 1 at 3600',
      'committed 1 0-3600 length',
    ]);
  });

  it('lets the open utterance go, and counts its audio all the same', () => {
    audio(100);
    pipeline.apply({ kind: 'clear' });
    pipeline.apply({ kind: 'clear' });
    utterance = 2;
    audio(100);
    partial([word(' two', 120, 180)]);
    commit();
    audio(100);
    pipeline.apply({ kind: 'clear' });
    final();
    audio(100);
    utterance = 3;
    // The session has never seen what was let go while it had no room.
    partial([word(' three', 210, 290)]);
    expect(story()).toEqual([
      'cleared 1',
      'cleared nothing',
      'heard 2 two +',
      'committed 2 100-200 client',
      'cleared 3',
      'transcribed 2 two',
      'heard 4 three +',
    ]);
    expect(told('heard').at(-1)?.words).toEqual([word(' three', 310, 390)]);
  });

  it('ends when all is transcribed that came before finish', () => {
    audio(100);
    commit();
    audio(100);
    pipeline.apply({ kind: 'finish' });
    audio(100);
    final();
    expect(sink.ends).toEqual([]);
    final(word(' two', 110, 190));
    expect(story()).toEqual([
      'committed 1 0-100 client',
      'committed 2 100-200 finish',
      'transcribed 1 ',
      'heard 2 two +',
      'transcribed 2 two',
      'ended',
    ]);
    expect(sink.ends).toEqual([{ kind: 'ended' }]);
  });

  it('ends at once when nothing was said', () => {
    pipeline.apply({ kind: 'finish' });
    expect(story()).toEqual(['ended']);
  });

  it('takes several commands in one frame', () => {
    pipeline.apply({
      kind: 'several',
      commands: [
        { kind: 'audio', utteranceId: undefined, pcm: Buffer.alloc(3200) },
        { kind: 'finalize', utteranceId: undefined },
      ],
    });
    expect(story()).toEqual(['committed 1 0-100 client']);
  });

  it('fails an utterance whose final does not come in time, and hears what was said meanwhile', () => {
    audio(100);
    commit();
    clock.advance(5_000);
    audio(100);
    commit();
    clock.advance(5_000);
    expect(story().slice(2)).toEqual(['failed 1 asr_timeout']);
    clock.advance(250);
    expect(link.calls.slice(3)).toEqual([
      'cancel 1',
      'start 2 from 1600',
      'audio 3200',
      'finish 2',
    ]);
  });

  it('fails an utterance whose engine takes nothing', () => {
    for (let second = 0; second < 4; second += 1) audio(1_000);
    clock.advance(9_999);
    taken(500);
    clock.advance(9_999);
    expect(story()).toEqual([]);
    clock.advance(1);
    // What the session had not got is heard in the next.
    expect(story()).toEqual(['committed 1 0-2500 length', 'failed 1 asr_timeout']);
    clock.advance(250);
    expect(link.calls).toContain('start 2 from 40000');
  });

  it('tries again later and later when one utterance after the other fails', () => {
    for (const pauseMs of [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]) {
      audio(100);
      clock.advance(pauseMs);
      const { utteranceId = '' } = session.keep ?? {};
      pipeline.event({ kind: 'error', error: new VoiceError('engine_failed'), utteranceId });
      clock.advance(pauseMs - 1);
      expect(session.busy).toBe(false);
    }
    expect(told('failed')).toHaveLength(7);
    expect(told('error')).toEqual([]);
    clock.advance(1);
    audio(100);
    utterance = 8;
    commit();
    final(word(' one', 0, 50));
    audio(100);
    expect(session.busy).toBe(true);
  });

  it('goes on when an engine stands still, which ends other sessions', async () => {
    audio(100);
    for (let loss = 0; loss < 6; loss += 1) {
      worker.onStalled();
      await turn();
      clock.advance(4_000);
      await turn();
    }
    expect(story()).toEqual(['committed 1 0-100 length', 'failed 1 inbound_queue_full']);
    expect(sink.ends).toEqual([]);
    audio(100);
    clock.advance(250);
    expect(session.busy).toBe(true);
  });

  it('tells nothing of an utterance that failed before anything was said', () => {
    speakers();
    audio(100);
    pipeline.event({
      kind: 'error',
      error: new VoiceError('engine_failed'),
      utteranceId: session.keep?.utteranceId ?? '',
    });
    audio(100);
    clock.advance(250);
    utterance = 2;
    speech('started', 150);
    expect(story()).toEqual(['speech-began 1 at 150']);
  });

  it('gives a final its full time again when its worker was lost', async () => {
    audio(100);
    commit();
    clock.advance(9_000);
    worker.onLost('gone');
    clock.advance(4_000);
    await turn();
    await turn();
    clock.advance(9_000);
    expect(story()).toEqual(['committed 1 0-100 client']);
    expect(sink.moves).toEqual(['lost']);
    final(word(' one', 0, 50));
    expect(story().at(-1)).toBe('transcribed 1 one');
  });

  it('passes errors on that are about no utterance', () => {
    pipeline.event({ kind: 'error', error: new VoiceError('invalid_message') });
    expect(story()).toEqual(['error']);
  });

  describe('when it is quiet', () => {
    const say = (endMs: number): void => {
      speech('started', endMs - 200);
      speech('ended', endMs);
      final(word(' one', endMs - 200, endMs));
    };

    it('tells so once, by the clock, as silence may not be sent', () => {
      speakers({ quietMs: 1_000 });
      audio(600);
      say(400);
      sink.events.length = 0;
      clock.advance(799);
      expect(story()).toEqual([]);
      clock.advance(1);
      expect(story()).toEqual(['quiet since 400']);
      clock.advance(10_000);
      expect(story()).toEqual(['quiet since 400']);
    });

    it('does not when somebody speaks again, but after that', () => {
      speakers({ quietMs: 1_000 });
      audio(600);
      say(400);
      clock.advance(500);
      audio(500);
      speech('started', 1_000);
      clock.advance(5_000);
      expect(told('quiet')).toEqual([]);
      // It was noise.
      speech('ended', 1_100);
      final();
      clock.advance(1_000);
      expect(told('quiet')).toEqual([{ kind: 'quiet', sample: 400 * MS }]);
    });
  });

  describe('is busy', () => {
    it('from the first audio on when its client ends utterances', () => {
      expect(pipeline.busy).toBe(false);
      audio(100);
      expect(pipeline.busy).toBe(true);
      commit();
      final();
      expect(pipeline.busy).toBe(false);
    });

    it('only when somebody was heard, where silence ends utterances', () => {
      speakers();
      audio(100);
      expect(pipeline.busy).toBe(false);
      speech('started', 50);
      expect(pipeline.busy).toBe(true);
    });

    it('no more, and its session neither, when silence was all and no audio comes', () => {
      speakers();
      audio(100);
      clock.advance(40_000);
      expect(session.busy).toBe(false);
      expect(story()).toEqual([]);
      audio(100);
      expect(session.busy).toBe(true);
    });
  });

  it('tells nothing more and leaves no timer when it is stopped', async () => {
    speakers({ quietMs: 1_000 });
    audio(600);
    speech('started', 200);
    speech('ended', 400);
    await pipeline.stop();
    await session.close();
    sink.events.length = 0;
    clock.advance(60_000);
    expect(story()).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});
