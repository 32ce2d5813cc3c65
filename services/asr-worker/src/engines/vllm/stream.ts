import type { Clock } from '@voice-fleet/runtime/clock';
import type { Word } from '@voice-fleet/speech/words';
import {
  type EngineEvent,
  type EngineStream,
  type FaultCause,
  StreamFault,
  type VoiceState,
} from '../engine.ts';
import { EventQueue } from '../event-queue.ts';
import { BlankWatch } from './blank-watch.ts';
import { DeltaWords } from './delta-words.ts';
import type { FrameMeter } from './frame-meter.ts';
import { StreamWatch, type WatchSettings } from './stream-watch.ts';
import type { DeltaTiming } from './timing.ts';
import type { Upstream } from './upstream.ts';
import type { UpstreamPool } from './upstream-pool.ts';

/** Shorter appends cost vLLM more than their audio does: 40 ms. */
const MIN_APPEND_BYTES = 1_280;
/** Longer ones stall the other sessions of its process: 100 ms. */
const MAX_APPEND_BYTES = 3_200;
/** Audio that may be unanswered, so that an engine that falls behind is felt at once: 1 s. */
const WINDOW_SAMPLES = 16_000;
const NO_AUDIO = Buffer.alloc(0);
/** How often, in deltas, an engine that hears nothing says up to where. */
const HEARD_EVERY = 6;
/** A `done` that is short of so many deltas, 1 s of audio, has lost words. */
const MISSING_DELTAS = 12;

export interface StreamDeps {
  readonly pool: UpstreamPool;
  readonly timing: DeltaTiming;
  readonly watch: WatchSettings;
  readonly clock: Clock;
  readonly voice: VoiceState;
  readonly meter: FrameMeter;
  readonly traceparent?: string | undefined;
  readonly onFault: (fault: StreamFault) => void;
  readonly onClosed: () => void;
}

/** One utterance of vLLM's: sends audio as fast as it is answered, and gives up when it is not. */
export class VllmStream implements EngineStream {
  readonly #deps: StreamDeps;
  readonly #events = new EventQueue<EngineEvent>();
  readonly #words = new DeltaWords();
  readonly #watch: StreamWatch;
  readonly #blanks: BlankWatch;
  readonly #aborted = new AbortController();
  #upstream: Upstream | undefined;
  #sentSamples = 0;
  /** Less than an append, waiting for more. */
  #held = NO_AUDIO;
  /** When the audio for the next deltas was sent, oldest first; begins with number `#words.count`. */
  readonly #sentAtMs: number[] = [];
  #resume: { resolve: () => void; reject: (fault: StreamFault) => void } | undefined;
  #tail = '';
  #finishing = false;
  #fault: StreamFault | undefined;
  #closed = false;

  constructor(deps: StreamDeps) {
    this.#deps = deps;
    this.#watch = new StreamWatch(deps.timing, deps.watch);
    this.#blanks = new BlankWatch(rutsOf(deps.voice));
  }

  get events(): AsyncIterable<EngineEvent> {
    return this.#events;
  }

  async write(pcm: Buffer): Promise<void> {
    if (this.#fault) throw this.#fault;
    if (this.#closed || pcm.length === 0) return;
    // Copies where it keeps, because the caller may use its buffer again.
    const audio = this.#held.length > 0 ? Buffer.concat([this.#held, pcm]) : pcm;
    const upstream = audio.length >= MIN_APPEND_BYTES ? await this.#connected() : undefined;
    if (this.#closed) return;
    let at = 0;
    for (; upstream && audio.length - at >= MIN_APPEND_BYTES; at += MAX_APPEND_BYTES)
      this.#append(upstream, audio.subarray(at, at + MAX_APPEND_BYTES));
    this.#held = at < audio.length ? Buffer.from(audio.subarray(at)) : NO_AUDIO;
    if (this.#unansweredSamples <= WINDOW_SAMPLES) return;
    await new Promise<void>((resolve, reject) => {
      this.#resume = { resolve, reject };
    });
  }

  finish(): void {
    if (this.#closed || this.#finishing) return;
    this.#finishing = true;
    // What fails here is told by `events`.
    this.#finish().catch(() => undefined);
  }

  abort(): void {
    if (this.#closed) return;
    this.#upstream?.close();
    this.#close();
  }

  /** Since when the oldest unanswered frame waits, on the clock; undefined: none does. */
  get waitingSinceMs(): number | undefined {
    return this.#sentAtMs[0];
  }

  /** Looks whether vLLM still answers; for the engine's timer. */
  check(): void {
    if (this.#closed || !this.#upstream) return;
    const found = this.#watch.check(this.#deps.clock.now());
    if (found) this.#fail(new StreamFault(found.cause, found.message));
  }

  async #finish(): Promise<void> {
    const upstream = this.#held.length > 0 ? await this.#connected() : this.#upstream;
    if (this.#closed) return;
    if (upstream === undefined) {
      // An utterance without audio would be answered with junk.
      this.#events.push({ kind: 'end', promptTokens: 0, completionTokens: 0 });
      return this.#close();
    }
    if (this.#held.length > 0) this.#append(upstream, this.#held);
    this.#watch.onFinal(this.#sentSamples, this.#deps.clock.now());
    upstream.finish();
  }

  /** Settles with nothing when the stream was closed meanwhile. */
  async #connected(): Promise<Upstream | undefined> {
    if (this.#upstream) return this.#upstream;
    const { traceparent } = this.#deps;
    try {
      const upstream = await this.#deps.pool.take(this.#aborted.signal, traceparent);
      if (this.#closed) {
        this.#deps.pool.give(upstream);
        return undefined;
      }
      upstream.begin(
        {
          onDelta: (delta) => this.#onDelta(delta),
          onDone: (usage) => this.#onDone(upstream, usage),
          onFault: (fault) => this.#fail(fault),
        },
        traceparent,
      );
      this.#upstream = upstream;
      return upstream;
    } catch (error) {
      if (this.#closed) return undefined;
      const fault = asFault(error, 'unreachable');
      this.#fail(fault);
      throw fault;
    }
  }

  #append(upstream: Upstream, audio: Buffer): void {
    upstream.append(audio);
    this.#blanks.onAudio(audio);
    this.#sentSamples += audio.length >> 1;
    const nowMs = this.#deps.clock.now();
    this.#watch.onSent(this.#sentSamples, nowMs);
    const due = this.#deps.timing.deltasFor(this.#sentSamples);
    while (this.#words.count + this.#sentAtMs.length < due) {
      this.#sentAtMs.push(nowMs);
      this.#deps.meter.onDue();
    }
  }

  /** Audio that the next delta still waits for counts as answered. */
  get #unansweredSamples(): number {
    return this.#sentSamples - this.#deps.timing.neededFor(this.#words.count);
  }

  #onDelta(delta: string): void {
    const nowMs = this.#deps.clock.now();
    this.#watch.onDelta(nowMs);
    const sentAtMs = this.#sentAtMs.shift();
    if (sentAtMs !== undefined) this.#deps.meter.onDelta(nowMs - sentAtMs);
    this.#emit(this.#words.take(delta));
    const { count, emptyRun } = this.#words;
    if (emptyRun > 0 && this.#blanks.isRut(count, emptyRun))
      return this.#failForRut(count, emptyRun);
    if (this.#resume && this.#unansweredSamples <= WINDOW_SAMPLES) this.#settle()?.resolve();
  }

  #emit(words: readonly Word[]): void {
    const { tail, count } = this.#words;
    if (words.length > 0 || tail !== this.#tail) {
      this.#tail = tail;
      if (words.length > 0) this.#deps.voice.value = { rutsInARow: 0 };
      this.#events.push({ kind: 'words', words: words.map((word) => this.#within(word)), tail });
    }
    if (count % HEARD_EVERY === 0 || words.length > 0)
      this.#events.push({
        kind: 'heard',
        untilSample: Math.min(this.#words.heardSample, this.#sentSamples),
      });
  }

  /** The last deltas are about the silence that vLLM adds behind the audio. */
  #within(word: Word): Word {
    const { text, startSample, endSample } = word;
    return {
      text,
      startSample: Math.min(startSample, this.#sentSamples),
      endSample: Math.min(endSample, this.#sentSamples),
    };
  }

  #onDone(
    upstream: Upstream,
    usage: { prompt_tokens: number; completion_tokens: number } | undefined,
  ): void {
    const missing = this.#deps.timing.deltasInAll(this.#sentSamples) - this.#words.count;
    if (missing > MISSING_DELTAS)
      return this.#fail(new StreamFault('done', `the end came ${missing} deltas early`));
    this.#emit(this.#words.finish());
    this.#deps.meter.onStream(undefined);
    this.#events.push({
      kind: 'end',
      promptTokens: usage?.prompt_tokens ?? this.#deps.timing.promptTokens,
      completionTokens: usage?.completion_tokens ?? this.#words.count,
    });
    this.#close();
    this.#deps.pool.give(upstream);
  }

  #failForRut(count: number, run: number): void {
    this.#deps.voice.value = { rutsInARow: rutsOf(this.#deps.voice) + 1 };
    const trustedSample = this.#deps.timing.sampleOf(count - run);
    this.#fail(new StreamFault('blank_rut', `${run} empty deltas over speech`, { trustedSample }));
  }

  #fail(fault: StreamFault): void {
    if (this.#closed) return;
    this.#fault = fault;
    this.#upstream?.close();
    this.#close(fault);
    this.#deps.meter.onStream(fault.message);
    this.#deps.onFault(fault);
  }

  #settle(): { resolve: () => void; reject: (fault: StreamFault) => void } | undefined {
    const pending = this.#resume;
    this.#resume = undefined;
    return pending;
  }

  #close(fault?: StreamFault): void {
    this.#closed = true;
    this.#aborted.abort();
    this.#sentAtMs.length = 0;
    if (fault) this.#settle()?.reject(fault);
    else this.#settle()?.resolve();
    this.#events.end(fault);
    this.#deps.onClosed();
  }
}

/** What this engine remembers of a speaker: `{ rutsInARow }`. */
function rutsOf({ value }: VoiceState): number {
  return (value as { rutsInARow?: number } | undefined)?.rutsInARow ?? 0;
}

function asFault(error: unknown, cause: FaultCause): StreamFault {
  if (error instanceof StreamFault) return error;
  return new StreamFault(cause, error instanceof Error ? error.message : String(error));
}
