import { VoiceError } from '@voice-fleet/protocol/errors';
import type {
  ClientCommand,
  FinalizeReason,
  SessionEvent,
  VoiceStart,
} from '@voice-fleet/protocol/session';
import type { Timer } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { SessionSink } from '../session/session-deps.ts';
import type { OutboxLoad } from '../ws/outbox.ts';
import type { PipelineOwner } from '../ws/pipeline.ts';
import { Capture, DEFAULT_START } from './capture.ts';
import { Listening, type VoiceSession } from './listening.ts';
import { PhaseMachine } from './phase.ts';
import { Replies, replyError } from './replies.ts';
import { StrayAudio } from './stray-audio.ts';
import { VoiceTeller } from './teller.ts';
import type { ReplyEnd, TurnOutcome } from './turn.ts';
import { VoiceBooks } from './voice-books.ts';
import type { VoiceDeps } from './voice-deps.ts';

type Start = Extract<ClientCommand, { kind: 'start' }>;
type Audio = Extract<ClientCommand, { kind: 'audio' }>;

const SAMPLES_PER_MS = SAMPLE_RATE / 1000;

/**
 * One client's conversation: an utterance is captured, its words are paced, its end is found, and it is answered, until the
 * speaker cuts in. Synchronous like the session; what a reply brings comes in between.
 */
export class Conversation {
  readonly #session: VoiceSession;
  readonly #deps: VoiceDeps;
  readonly #books: VoiceBooks;
  readonly #teller: VoiceTeller;
  readonly #replies: Replies;
  readonly #phase: PhaseMachine;
  readonly #listening: Listening;
  readonly #stray: StrayAudio;
  #capture: Capture | undefined;
  #reason: FinalizeReason = 'explicit_stop';
  #awaitsFinal = false;
  #utterances = 0;
  /** A start came, be it refused. */
  #asked = false;
  /** The longest that the utterance, or then its final, may take. */
  #deadline: Timer | undefined;
  #stopped = false;

  constructor(
    session: VoiceSession,
    { tenantId, log, chronicle }: PipelineOwner,
    sink: Pick<SessionSink, 'event'>,
    deps: VoiceDeps,
  ) {
    const { clock, metrics, settings } = deps;
    this.#session = session;
    this.#deps = deps;
    this.#books = new VoiceBooks(metrics.voice, log, settings.logLatency, chronicle);
    this.#teller = new VoiceTeller(sink, this.#books, deps);
    this.#phase = new PhaseMachine((from, to) => this.#books.phase(from, to, this.#capture?.id));
    this.#stray = new StrayAudio(clock);
    this.#listening = new Listening(session, {
      silenceMs: settings.silenceMs,
      newCapture: () => this.#newCapture(this.#capture?.wish ?? DEFAULT_START),
      onOpened: () => this.#teller.engineBegins(session.totals.acceptedSamples),
    });
    this.#replies = new Replies(session.id, tenantId, deps, {
      relief: () => this.#teller.relief,
      onEvent: (event) => this.#onReplyEvent(event),
      onStarted: (model, tts) => this.#books.turnStarted(this.#capture?.id ?? '', model, tts),
      onEnd: (end) => this.#onReplyEnd(end),
    });
  }

  get busy(): boolean {
    return this.#phase.busy;
  }

  apply(command: ClientCommand): void {
    switch (command.kind) {
      case 'audio':
        return this.#audio(command);
      case 'start':
        return this.#start(command);
      case 'finalize':
        return this.#finalize(command);
      default:
        // The answer to a cancel comes back as `cancelled`.
        return this.#session.apply(command);
    }
  }

  onLoad(load: OutboxLoad): void {
    if (!this.#stopped) this.#teller.onLoad(load);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#abandon('gone');
    this.#teller.stop();
    await this.#replies.settled();
  }

  event(event: SessionEvent): void {
    switch (event.kind) {
      case 'partial':
        return this.#onPartial(event.utteranceId, event.text, event.tail);
      case 'final':
        return this.#onFinal(event);
      case 'cancelled':
        return this.#onCancelled();
      case 'error':
        if (event.utteranceId === undefined) return this.#teller.event(event);
        return this.#onFailed(event.error, event.utteranceId);
      case 'dropped':
        if (!this.#listening.numbered(event.utteranceId)) this.#teller.event(event);
        return;
      default:
        return this.#teller.event(event);
    }
  }

  speech(moment: 'started' | 'ended', utteranceId: string, sample: number): void {
    const capture = this.#capture;
    if (moment === 'started') {
      const next = this.#listening.numbered(utteranceId);
      if (next) this.#cutIn(next, sample);
    } else if (capture?.id === utteranceId && capture.wish.endpointing) {
      if (this.#phase.phase === 'CAPTURING') this.#end(capture, 'vad_silence_timeout');
    }
  }

  engineTook(sample: number, workMs: number): void {
    this.#teller.engineTook(this.#capture?.id, sample, workMs);
  }

  #start({ voice: wish = DEFAULT_START }: Start): void {
    this.#asked = true;
    if (this.#phase.phase === 'CAPTURING') this.#phase.violate();
    const { sampleRate = SAMPLE_RATE } = wish;
    if (sampleRate !== SAMPLE_RATE)
      throw new VoiceError('unsupported_sample_rate', { details: { sample_rate: sampleRate } });
    const capture = this.#newCapture(wish);
    const { silenceMs } = this.#deps.settings;
    const start: Start = { kind: 'start', utteranceId: capture.id };
    // It takes the place of whatever the session still had open.
    this.#session.apply(wish.endpointing ? { ...start, silenceMs } : start);
    // Its marks are only noted: the first frame after a start is the answer to that.
    if (this.#phase.replying && this.#capture) this.#teller.marks(this.#capture);
    this.#abandon('replaced');
    this.#teller.engineBegins(this.#session.totals.acceptedSamples);
    this.#begin(capture);
    this.#teller.event({ kind: 'started', utteranceId: capture.id });
  }

  #newCapture(wish: VoiceStart): Capture {
    this.#utterances += 1;
    const { partialIntervalMs } = this.#deps.settings;
    return new Capture(`${this.#session.id}.${this.#utterances}`, wish, partialIntervalMs);
  }

  #begin(capture: Capture): void {
    this.#capture = capture;
    this.#stray.reset();
    this.#phase.move('CAPTURING');
    const { clock, settings } = this.#deps;
    this.#deadline = clock.after(settings.maxUtteranceMs, () => this.#endTooLong(capture));
  }

  #audio(command: Audio): void {
    const capture = this.#capture;
    switch (this.#phase.phase) {
      case 'CAPTURING':
        return capture && this.#hear(capture, command);
      case 'THINKING':
      case 'RESPONDING':
        if (capture === undefined || capture.wish.mode === 'transcribe') return;
        if (this.#awaitsFinal) return this.#listening.hold(command.pcm);
        return this.#listening.hear(command);
      case 'IDLE':
        if (!this.#asked) this.#phase.violate();
        return this.#stray.take();
      case 'COMPLETE':
        return this.#stray.take();
      case 'ERROR':
        return;
    }
  }

  #hear(capture: Capture, command: Audio): void {
    const { maxUtteranceMs } = this.#deps.settings;
    const pcm = capture.clip(command.pcm, maxUtteranceMs);
    this.#session.apply(pcm === command.pcm ? command : { ...command, pcm });
    this.#teller.stamp(capture, 't0');
    capture.add(pcm);
    if (capture.audioMs >= maxUtteranceMs) this.#endTooLong(capture);
  }

  /** The speaker was heard at `sample`, amid a reply. */
  #cutIn(next: Capture, sample: number): void {
    const heardSamples = this.#session.totals.acceptedSamples - sample;
    next.keepLast(2 * heardSamples);
    this.#teller.stamp(next, 't0', heardSamples / SAMPLES_PER_MS);
    this.#abandon('barged_in');
    if (this.#capture) this.#teller.event(this.#teller.marks(this.#capture));
    this.#teller.notice('barge_in', 'You cut in: the reply was stopped.');
    this.#begin(next);
    this.#teller.pace(next);
  }

  #finalize(command: ClientCommand): void {
    if (this.#phase.phase === 'IDLE') throw new VoiceError('not_started');
    // In any other phase the utterance was over before this came.
    if (this.#phase.phase !== 'CAPTURING' || this.#capture === undefined) return;
    this.#session.apply(command);
    this.#finalizing(this.#capture, 'explicit_stop');
  }

  #endTooLong(capture: Capture): void {
    const error = new VoiceError('max_duration_exceeded');
    this.#books.error(capture.id, error);
    this.#teller.event({ kind: 'error', error, utteranceId: capture.id });
    this.#end(capture, 'max_utterance_timeout');
  }

  #end(capture: Capture, reason: FinalizeReason): void {
    this.#session.finish();
    this.#finalizing(capture, reason);
  }

  #finalizing({ id }: Capture, reason: FinalizeReason): void {
    this.#settle();
    if (this.#stopped) return;
    const { clock, settings } = this.#deps;
    this.#deadline = clock.after(settings.asrTimeoutMs, () =>
      this.#onFailed(new VoiceError('asr_timeout'), id),
    );
    this.#reason = reason;
    this.#awaitsFinal = true;
    this.#phase.move('THINKING');
    this.#teller.holdNotices(true);
    this.#teller.event({ kind: 'finalizing', utteranceId: id, reason });
  }

  #onPartial(utteranceId: string, text: string, tail: string): void {
    this.#listening.numbered(utteranceId)?.hear(text, tail);
    const capture = this.#capture;
    if (capture?.id !== utteranceId) return;
    capture.hear(text, tail);
    if (this.#phase.phase === 'CAPTURING') this.#teller.pace(capture);
  }

  #onFinal(event: Extract<SessionEvent, { kind: 'final' }>): void {
    const capture = this.#capture;
    if (capture?.id !== event.utteranceId) return;
    // The session itself has ended it, as it must end.
    if (this.#phase.phase === 'CAPTURING') this.#finalizing(capture, 'max_utterance_timeout');
    this.#settle();
    const text = event.text.trim();
    this.#teller.stamp(capture, 't2');
    this.#teller.event({ ...event, text });
    this.#teller.holdNotices(false);
    const work = this.#teller.engineEnds(capture.id);
    if (work.runs > 0) this.#teller.event({ kind: 'decode', utteranceId: capture.id, ...work });
    this.#books.utterance(capture.id, this.#reason, { audioMs: capture.audioMs, ...work });
    if (this.#stopped) return;
    const { mode } = capture.wish;
    if (mode === 'transcribe' || (mode === 'voice' && text === ''))
      return this.#complete(this.#reason !== 'explicit_stop');
    if (mode === 'voice') this.#replies.answer(capture.id, { text, ...capture.wish.speech });
    else this.#replies.chat(capture);
    this.#listening.open();
  }

  #onReplyEvent(event: SessionEvent): void {
    const capture = this.#capture;
    if (capture === undefined) return;
    if (event.kind === 'error') this.#books.error(capture.id, event.error);
    if (event.kind === 'token' || event.kind === 'chunk' || event.kind === 'speech') {
      if (this.#phase.phase === 'THINKING') this.#phase.move('RESPONDING');
      this.#teller.stamp(capture, event.kind === 'speech' ? 't4' : 't3');
    }
    this.#teller.event(event);
  }

  #onReplyEnd({ outcome, spoke, error }: ReplyEnd): void {
    const utteranceId = this.#capture?.id ?? '';
    this.#books.turn(utteranceId, outcome);
    if (error !== undefined) {
      const told = replyError(error);
      this.#books.error(utteranceId, told);
      this.#teller.event({ kind: 'error', error: told, utteranceId });
    }
    this.#complete(true, spoke ? { kind: 'speech-complete', utteranceId } : undefined);
  }

  #onCancelled(): void {
    const busy = this.#phase.busy;
    this.#abandon('cancelled');
    if (busy && this.#capture) this.#teller.event(this.#teller.marks(this.#capture));
    this.#stray.reset();
    this.#phase.move('COMPLETE');
    this.#teller.event({ kind: 'error', error: new VoiceError('cancelled') });
  }

  #onFailed(error: VoiceError, utteranceId: string): void {
    this.#books.error(utteranceId, error);
    if (error.tier === 'fatal') {
      // The session ends with it by itself.
      this.#phase.move('ERROR');
      return this.#teller.event({ kind: 'error', error, utteranceId });
    }
    this.#session.drop();
    if (this.#listening.numbered(utteranceId)) return this.#listening.fail();
    if (this.#capture?.id !== utteranceId) return;
    this.#settle();
    this.#teller.event({ kind: 'error', error, utteranceId });
    this.#teller.holdNotices(false);
    this.#complete(true);
  }

  /** The utterance is over, and so is what was listened to meanwhile. `graceful`: audio may still be on its way. */
  #complete(graceful: boolean, last?: SessionEvent): void {
    this.#settle();
    if (this.#listening.end()) this.#session.drop();
    if (this.#capture === undefined) return;
    if (graceful) this.#stray.excuse();
    const marks = this.#teller.marks(this.#capture);
    if (last) this.#teller.event(marks);
    this.#phase.move('COMPLETE');
    this.#teller.event(last ?? marks);
  }

  /** Ends what is done for an utterance whose place another takes, or nobody. */
  #abandon(outcome: TurnOutcome): void {
    this.#settle();
    if (this.#replies.abort()) this.#books.turn(this.#capture?.id ?? '', outcome);
    this.#listening.end();
    this.#teller.holdNotices(false);
  }

  /** Nothing more is due. */
  #settle(): void {
    this.#deadline?.cancel();
    this.#teller.quiet();
    this.#awaitsFinal = false;
  }
}
