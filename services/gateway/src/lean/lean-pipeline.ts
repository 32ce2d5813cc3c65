import { randomBytes } from 'node:crypto';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { LinkWord } from '@voice-fleet/protocol/link';
import type {
  ClientCommand,
  CloseReason,
  FinalizeReason,
  SessionEvent,
} from '@voice-fleet/protocol/session';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { isLowInformation, measureText } from '@voice-fleet/speech/low-information';
import { msToSamples, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { MoveCause } from '../session/link-holder.ts';
import type { Session } from '../session/session.ts';
import type { SessionSink } from '../session/session-deps.ts';
import { LatencyWatch } from '../voice/latency.ts';
import type { Pipeline, PipelineOwner } from '../ws/pipeline.ts';
import { PartialWindow } from './partial-window.ts';
import type { TranscriptFiles } from './transcript-files.ts';

/** Partials are of so much speech. */
const WINDOW_MS = 5_000;
const PARTIAL_INTERVAL_MS = 800;
/** Of less audio nothing is told before its end. */
const MIN_AUDIO_MS = 100;
/** A client that sends nothing for so long has said what it had to say. */
const INACTIVITY_MS = 1_500;
/** How often that and the length are looked at, with or without frames. */
const CHECK_MS = 300;
const HEARTBEAT_MS = 1_000;
/** The close does not wait longer for a file. */
const SAVE_WAIT_MS = 1_000;
const SAMPLES_PER_MS = SAMPLE_RATE / 1000;

export interface LeanDeps {
  readonly clock: Clock;
  /** Silence after speech that ends the utterance. */
  readonly silenceMs: number;
  readonly maxUtteranceMs: number;
  /** The final must come so soon after the end. */
  readonly asrTimeoutMs: number;
  /** Whether debug events are told. */
  readonly debug: boolean;
  /** Absent: transcripts are not kept. */
  readonly files?: Pick<TranscriptFiles, 'save'> | undefined;
}

type LeanSession = Pick<Session, 'id' | 'apply' | 'perform' | 'finish' | 'totals'>;
type Start = Extract<ClientCommand, { kind: 'start' }>;
type Audio = Extract<ClientCommand, { kind: 'audio' }>;
type State = 'idle' | 'capturing' | 'finalizing' | 'over';

/** One connection is one utterance: captured, told in a sliding window, ended by one of four triggers, and told in two stages. */
export class LeanPipeline implements Pipeline {
  readonly #sink: SessionSink;
  readonly #deps: LeanDeps;
  readonly #latency = new LatencyWatch();
  readonly #window = new PartialWindow(msToSamples(WINDOW_MS));
  readonly #id = `utt_${randomBytes(12).toString('hex')}`;
  /** Between two clocks, so that marks never go back. */
  readonly #wallOffsetMs: number;
  #session!: LeanSession;
  #log!: PipelineOwner['log'];
  #state: State = 'idle';
  #startedMs = 0;
  #heardMs = 0;
  #samples = 0;
  #told = '';
  #timers: Timer[] = [];

  constructor(sink: SessionSink, deps: LeanDeps) {
    this.#sink = sink;
    this.#deps = deps;
    this.#wallOffsetMs = deps.clock.wallNow() - deps.clock.now();
  }

  attach(session: LeanSession, { log }: PipelineOwner): void {
    this.#session = session;
    this.#log = log;
  }

  get busy(): boolean {
    return this.#state === 'capturing' || this.#state === 'finalizing';
  }

  apply(command: ClientCommand): void {
    switch (command.kind) {
      case 'start':
        return this.#start(command);
      case 'audio':
        return this.#audio(command);
      case 'finalize':
        if (this.#state === 'idle') throw new VoiceError('not_started');
        return this.#finalize('explicit_stop');
      default:
        return this.#session.apply(command);
    }
  }

  /** Partials come rarely enough for any reader that is not cut off. */
  onLoad(): void {}

  async stop(): Promise<void> {
    this.#state = 'over';
    this.#quiet();
  }

  event(event: SessionEvent): void {
    switch (event.kind) {
      case 'partial':
        this.#window.tail = event.tail;
        return;
      case 'final':
        return void this.#onFinal(event);
      case 'error':
        this.#sink.event(event);
        if (event.utteranceId === undefined || event.error.tier === 'fatal') return;
        // One connection is one utterance, and this one is lost.
        return this.#end();
      default:
        return this.#sink.event(event);
    }
  }

  heard(_utteranceId: string, words: readonly LinkWord[]): void {
    this.#window.hear(words);
  }

  speech(moment: 'started' | 'ended'): void {
    if (moment === 'ended') this.#finalize('vad_silence_timeout');
  }

  end(reason: CloseReason): void {
    this.#sink.end(reason);
  }

  holdInput(hold: boolean): void {
    this.#sink.holdInput(hold);
  }

  workerLost(cause: string): void {
    this.#sink.workerLost(cause);
  }

  moved(cause: MoveCause, tookMs: number): void {
    this.#sink.moved(cause, tookMs);
  }

  get #audioMs(): number {
    return this.#samples / SAMPLES_PER_MS;
  }

  #start({ voice }: Start): void {
    if (this.#state !== 'idle')
      throw new VoiceError('invalid_audio', {
        message: 'This connection has its utterance already.',
      });
    if (voice?.sampleRate !== undefined && voice.sampleRate !== SAMPLE_RATE) {
      throw new VoiceError('unsupported_sample_rate', {
        details: { sample_rate: voice.sampleRate },
      });
    }
    const { clock, silenceMs, debug } = this.#deps;
    this.#session.apply({ kind: 'start', utteranceId: this.#id, silenceMs });
    this.#state = 'capturing';
    this.#startedMs = clock.now();
    this.#heardMs = this.#startedMs;
    this.#every(CHECK_MS, () => this.#check());
    this.#every(PARTIAL_INTERVAL_MS, () => this.#tellPartial());
    if (debug) this.#every(HEARTBEAT_MS, () => this.#heartbeat());
    this.#sink.event({ kind: 'started', utteranceId: this.#id });
  }

  #audio(command: Audio): void {
    if (this.#state === 'idle') throw new VoiceError('not_started');
    if (this.#state !== 'capturing') return;
    this.#heardMs = this.#deps.clock.now();
    this.#session.apply(command);
    this.#stamp('t0');
    this.#samples += command.pcm.length >> 1;
  }

  #check(): void {
    const { clock, maxUtteranceMs } = this.#deps;
    const nowMs = clock.now();
    const lengthMs = Math.max(this.#audioMs, nowMs - this.#startedMs);
    if (lengthMs >= maxUtteranceMs) this.#finalize('max_utterance_timeout');
    else if (nowMs - this.#heardMs >= INACTIVITY_MS) this.#finalize('inactivity_timeout');
  }

  #tellPartial(): void {
    if (this.#audioMs <= MIN_AUDIO_MS) return;
    const text = this.#window.text(this.#session.totals.acceptedSamples);
    if (text === '' || text === this.#told) return;
    const measure = measureText(text);
    if (isLowInformation(measure)) {
      const { alphaRatio, uniqueRatio } = measure;
      return this.#debug('partial_reject', { alpha_ratio: alphaRatio, unique_ratio: uniqueRatio });
    }
    if (this.#told === '') this.#debug('t_partial_first', { t: this.#stamp('t1') });
    this.#told = text;
    this.#sink.event({ kind: 'transcript', utteranceId: this.#id, text });
  }

  /** The first reason counts. */
  #finalize(reason: FinalizeReason): void {
    if (this.#state !== 'capturing') return;
    this.#state = 'finalizing';
    this.#quiet();
    const { clock, asrTimeoutMs } = this.#deps;
    const utteranceId = this.#id;
    const durationMs = Math.round(clock.now() - this.#startedMs);
    this.#debug('finalize_trigger', {
      reason,
      duration_ms: durationMs,
      buffer_bytes: 2 * this.#samples,
    });
    this.#debug('t_finalize_start', { t: this.#wallMs });
    this.#timers.push(clock.after(asrTimeoutMs, () => this.#fail('asr_timeout')));
    this.#sink.event({ kind: 'finalizing', utteranceId, reason });
    const text = this.#told || this.#window.text(this.#session.totals.acceptedSamples);
    this.#sink.event({ kind: 'provisional', utteranceId, text });
    this.#session.finish();
  }

  async #onFinal(event: Extract<SessionEvent, { kind: 'final' }>): Promise<void> {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#quiet();
    const text = event.text.trim();
    const t2 = this.#stamp('t2');
    this.#sink.event({ ...event, text });
    await this.#save(text, t2);
    this.#sink.event({ kind: 'marks', utteranceId: this.#id, marks: this.#latency.marks });
    this.#end();
  }

  /** Settles when the text is kept or is not to be, in bounded time. */
  async #save(text: string, wallMs: number): Promise<void> {
    const { files, clock } = this.#deps;
    if (files === undefined) return;
    let late: Timer | undefined;
    const waited = new Promise<void>((resolve) => {
      late = clock.after(SAVE_WAIT_MS, resolve);
    });
    const saved = files.save(`${this.#session.id}_${this.#id}`, text, wallMs).catch((error) => {
      // The reason names a path, which is the operator's to know.
      this.#log.warn({ event: 'transcript_not_saved', err: error });
      this.#debug('save_error', { code: codeOf(error) });
    });
    await Promise.race([saved, waited]);
    late?.cancel();
  }

  #fail(code: 'asr_timeout'): void {
    if (this.#state === 'over') return;
    this.#sink.event({ kind: 'error', error: new VoiceError(code), utteranceId: this.#id });
    this.#end();
  }

  #end(): void {
    this.#state = 'over';
    this.#quiet();
    this.#sink.event({ kind: 'notice', code: 'complete', message: 'Session complete' });
    this.#sink.end({ kind: 'ended' });
  }

  #heartbeat(): void {
    this.#debug('heartbeat', { pcm_ms: Math.round(this.#audioMs) });
  }

  #debug(event: string, facts: Readonly<Record<string, string | number>>): void {
    if (this.#deps.debug) this.#sink.event({ kind: 'debug', event, facts });
  }

  get #wallMs(): number {
    return Math.round(this.#wallOffsetMs + this.#deps.clock.now());
  }

  /** Returns the time of the mark, a Unix time in ms. */
  #stamp(mark: 't0' | 't1' | 't2'): number {
    this.#latency.stamp(mark, this.#wallMs);
    return this.#latency.marks[mark] ?? this.#wallMs;
  }

  #every(intervalMs: number, run: () => void): void {
    this.#timers.push(this.#deps.clock.every(intervalMs, run));
  }

  #quiet(): void {
    for (const timer of this.#timers.splice(0)) timer.cancel();
  }
}

/** What the system calls a fault, as ENOSPC. */
function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string')
    return error.code;
  return 'not_written';
}
