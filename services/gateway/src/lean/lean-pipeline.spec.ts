import { beforeEach, describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { ClientCommand, SessionEvent } from '@voice-fleet/protocol/session';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { owner } from '../chronicle/chronicle.fixture.ts';
import { FakeSink } from '../session/session.fixture.ts';
import type { Session } from '../session/session.ts';
import { type LeanDeps, LeanPipeline } from './lean-pipeline.ts';

const FRAME_MS = 100;
const FRAME = Buffer.alloc((FRAME_MS / 1000) * SAMPLE_RATE * 2);
const log = createLogger('gateway', 'error', { write: () => undefined });

/** Keeps what a pipeline asks of its session. */
class FakeSession {
  readonly id = 'sess_1';
  readonly totals = { acceptedSamples: 0 };
  readonly commands: ClientCommand[] = [];
  finished = 0;

  apply(command: ClientCommand): void {
    this.commands.push(command);
    if (command.kind === 'audio') this.totals.acceptedSamples += command.pcm.length >> 1;
  }
  finish(): void {
    this.finished += 1;
  }
}

describe('a lean utterance', () => {
  let clock: FakeClock;
  let session: FakeSession;
  let sink: FakeSink;
  let pipeline: LeanPipeline;

  beforeEach(() => open());

  function open(deps: Partial<LeanDeps> = {}): void {
    clock = new FakeClock();
    session = new FakeSession();
    sink = new FakeSink();
    pipeline = new LeanPipeline(sink, {
      clock,
      silenceMs: 700,
      maxUtteranceMs: 30_000,
      asrTimeoutMs: 10_000,
      debug: false,
      ...deps,
    });
    pipeline.attach(session as unknown as Session, owner(clock, log));
  }

  const start = (): void => pipeline.apply({ kind: 'start', utteranceId: '' });
  const stop = (): void => pipeline.apply({ kind: 'finalize', utteranceId: undefined });
  const told = <K extends SessionEvent['kind']>(kind: K): Extract<SessionEvent, { kind: K }>[] =>
    sink.events.filter((event): event is Extract<SessionEvent, { kind: K }> => event.kind === kind);
  const kinds = (): string[] => sink.events.map(({ kind }) => kind);
  const debugs = (name: string): unknown[] =>
    told('debug').flatMap(({ event, facts }) => (event === name ? [facts] : []));

  /** Sends audio at the pace of speech. */
  function speak(ms: number): void {
    for (let at = 0; at < ms; at += FRAME_MS) {
      pipeline.apply({ kind: 'audio', utteranceId: undefined, pcm: FRAME });
      clock.advance(FRAME_MS);
    }
  }
  /** The engine has settled a word that ends now, and guesses what follows. */
  function say(text: string, tail = ''): void {
    const endSample = session.totals.acceptedSamples;
    pipeline.heard('', [{ text, startSample: endSample, endSample }]);
    pipeline.event({ kind: 'partial', utteranceId: '', text, tail });
  }
  function final(text: string): void {
    const usage = { promptTokens: 1, completionTokens: 1 };
    const utteranceId = told('started')[0]?.utteranceId ?? '';
    pipeline.event({ kind: 'final', utteranceId, text, usage });
  }
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('asks its session for the end of speech, and answers the start', () => {
    start();
    expect(session.commands).toMatchObject([{ kind: 'start', silenceMs: 700 }]);
    expect(kinds()).toEqual(['started']);
  });

  it('tells every 800 ms what changed, from the last five seconds and the guess (P53)', () => {
    start();
    say('one');
    speak(2_000);
    expect(told('transcript').map(({ text }) => text)).toEqual(['one']);
    say(' two', ' thr');
    speak(800);
    expect(told('transcript').at(-1)?.text).toBe('one two thr');
    // `one` ended at 0 s, `two` at 2 s: of the first nothing is left after five seconds.
    say(' four', '');
    speak(3_000);
    expect(told('transcript').at(-1)?.text).toBe('two four');
  });

  it('tells nothing of a tenth of a second or less', () => {
    start();
    say('one');
    speak(100);
    clock.advance(1_000);
    expect(told('transcript')).toEqual([]);
  });

  it('keeps partials of low information back, and says so only in debug (P56)', () => {
    for (const debug of [false, true]) {
      open({ debug });
      start();
      say('. . . ......');
      speak(900);
      expect(told('transcript')).toEqual([]);
      const rejected = [{ alpha_ratio: 0, unique_ratio: 1 / 9 }];
      expect(debugs('partial_reject')).toEqual(debug ? rejected : []);
    }
  });

  it.each([
    ['stop', 'explicit_stop', () => stop()],
    ['the end of speech', 'vad_silence_timeout', () => pipeline.speech('ended')],
  ])('is ended by %s (P54)', (_, reason, trigger) => {
    start();
    speak(500);
    trigger();
    expect(told('finalizing')).toMatchObject([{ reason }]);
    expect(session.finished).toBe(1);
  });

  it('is ended 1500 ms after the last frame, seen within 300 ms without any traffic (P54)', () => {
    start();
    speak(500);
    clock.advance(1_300);
    expect(told('finalizing')).toEqual([]);
    clock.advance(300 + FRAME_MS);
    expect(told('finalizing')).toMatchObject([{ reason: 'inactivity_timeout' }]);
  });

  it('is ended when it is 30 s long (P54)', () => {
    start();
    speak(29_900);
    expect(told('finalizing')).toEqual([]);
    speak(500);
    expect(told('finalizing')).toMatchObject([{ reason: 'max_utterance_timeout' }]);
  });

  it('is ended once, for the first reason', () => {
    start();
    speak(500);
    pipeline.speech('ended');
    stop();
    clock.advance(5_000);
    expect(told('finalizing')).toMatchObject([{ reason: 'vad_silence_timeout' }]);
    expect(session.finished).toBe(1);
  });

  it('takes no more audio after its end', () => {
    start();
    speak(200);
    stop();
    const before = session.commands.length;
    speak(200);
    expect(session.commands).toHaveLength(before);
  });

  it('is told in two stages, at once and when all is decoded, then with its marks, and closes (P55)', async () => {
    start();
    say('one two');
    speak(1_000);
    say(' three');
    stop();
    expect(kinds().slice(-2)).toEqual(['finalizing', 'provisional']);
    expect(told('provisional')).toMatchObject([{ text: 'one two' }]);
    clock.advance(300);
    final(' one two three ');
    await turn();
    expect(kinds().slice(-3)).toEqual(['final', 'marks', 'notice']);
    expect(told('final')).toMatchObject([{ text: 'one two three' }]);
    const { t0, t1, t2 } = told('marks')[0]?.marks ?? {};
    expect([t1, t2].map((mark) => (mark ?? 0) - (t0 ?? 0))).toEqual([800, 1_300]);
    expect(told('notice')).toMatchObject([{ code: 'complete', message: 'Session complete' }]);
    expect(sink.ends).toEqual([{ kind: 'ended' }]);
    expect(clock.pending).toBe(0);
  });

  it('that was too short for a partial is told provisionally as it stands', () => {
    start();
    speak(100);
    say('Hi');
    stop();
    expect(told('provisional')).toMatchObject([{ text: 'Hi' }]);
  });

  it('fails and closes when its final does not come', () => {
    start();
    speak(500);
    stop();
    clock.advance(10_000);
    expect(told('error')).toMatchObject([{ error: { code: 'asr_timeout' } }]);
    expect(sink.ends).toEqual([{ kind: 'ended' }]);
    expect(clock.pending).toBe(0);
  });

  it('fails and closes with its engine', () => {
    start();
    const error = new VoiceError('engine_failed');
    pipeline.event({ kind: 'error', error, utteranceId: 'u' });
    expect(kinds()).toEqual(['started', 'error', 'notice']);
    expect(clock.pending).toBe(0);
  });

  it('refuses audio and stop before its start, a second start, and another rate', () => {
    const codes: string[] = [];
    const refused = (run: () => void): void => {
      try {
        run();
      } catch (error) {
        codes.push(error instanceof VoiceError ? error.code : String(error));
      }
    };
    refused(() => pipeline.apply({ kind: 'audio', utteranceId: undefined, pcm: FRAME }));
    refused(stop);
    const voice = { mode: 'transcribe', endpointing: true, sampleRate: 8_000 } as const;
    refused(() => pipeline.apply({ kind: 'start', utteranceId: '', voice }));
    start();
    refused(start);
    expect(codes).toEqual([
      'not_started',
      'not_started',
      'unsupported_sample_rate',
      'invalid_audio',
    ]);
  });

  it('tells debug events only where they are asked for (P57)', async () => {
    for (const debug of [false, true]) {
      open({ debug });
      start();
      say('one');
      speak(2_000);
      stop();
      final('one');
      await turn();
      const events = told('debug').map(({ event }) => event);
      expect(events).toEqual(
        debug
          ? ['t_partial_first', 'heartbeat', 'heartbeat', 'finalize_trigger', 't_finalize_start']
          : [],
      );
    }
    expect(debugs('heartbeat')).toEqual([{ pcm_ms: 1_000 }, { pcm_ms: 2_000 }]);
    expect(debugs('finalize_trigger')).toEqual([
      { reason: 'explicit_stop', duration_ms: 2_000, buffer_bytes: 64_000 },
    ]);
  });

  it('keeps its final text where it is asked to, and says in debug when it cannot (P59)', async () => {
    const saved: unknown[] = [];
    const keep = async (...file: unknown[]): Promise<void> => void saved.push(file);
    const full = async (): Promise<void> => {
      throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    };
    for (const save of [keep, full]) {
      open({ debug: true, files: { save } });
      start();
      speak(200);
      stop();
      final('one');
      await turn();
      expect(sink.ends).toEqual([{ kind: 'ended' }]);
    }
    expect(saved).toEqual([[expect.stringMatching(/^sess_1_utt_/), 'one', expect.any(Number)]]);
    expect(debugs('save_error')).toEqual([{ code: 'ENOSPC' }]);
  });

  it('does not wait for its file for more than a second', async () => {
    open({ files: { save: () => new Promise(() => undefined) } });
    start();
    speak(200);
    stop();
    final('one');
    clock.advance(1_000);
    await turn();
    expect(sink.ends).toEqual([{ kind: 'ended' }]);
  });

  it('stops everything when its client goes', async () => {
    start();
    speak(300);
    await pipeline.stop();
    expect(clock.pending).toBe(0);
    final('one');
    await turn();
    expect(kinds()).toEqual(['started']);
  });
});
