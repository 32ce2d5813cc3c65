import type { NoticeCode, SessionEvent } from '@voice-fleet/protocol/session';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { SessionSink } from '../session/session-deps.ts';
import type { OutboxLoad } from '../ws/outbox.ts';
import { Backpressure } from './backpressure.ts';
import type { Capture } from './capture.ts';
import type { Mark } from './latency.ts';
import { type DecodeRun, RtfWatch } from './rtf-watch.ts';
import type { VoiceBooks } from './voice-books.ts';
import type { VoiceSettings } from './voice-env.ts';

export interface TellerDeps {
  readonly clock: Clock;
  readonly settings: Pick<
    VoiceSettings,
    'partialIntervalMs' | 'backpressureThreshold' | 'backpressureSkip'
  >;
}

/** What a client is told, and when: the pace of partials, notices, and the marks of what was sent. */
export class VoiceTeller {
  readonly #sink: Pick<SessionSink, 'event'>;
  readonly #deps: TellerDeps;
  readonly #books: VoiceBooks;
  readonly #backpressure: Backpressure;
  readonly #rtf: RtfWatch;
  /** Between two clocks, so that marks of one session never go back. */
  readonly #wallOffsetMs: number;
  #pacing: Timer | undefined;
  #advised = false;
  /** Notices that wait: nothing of ours stands between `finalizing` and `final`. */
  #later: SessionEvent[] | undefined;

  constructor(sink: Pick<SessionSink, 'event'>, books: VoiceBooks, deps: TellerDeps) {
    const { clock, settings } = deps;
    this.#sink = sink;
    this.#books = books;
    this.#deps = deps;
    this.#backpressure = new Backpressure(settings.backpressureThreshold);
    this.#rtf = new RtfWatch(settings.partialIntervalMs);
    this.#wallOffsetMs = clock.wallNow() - clock.now();
  }

  /** While it does not settle, the client has more than enough to read. */
  get relief(): Promise<void> | undefined {
    return this.#backpressure.relief;
  }

  event(event: SessionEvent): void {
    this.#sink.event(event);
  }

  /** Notices wait for the final, or for whatever comes instead. */
  holdNotices(hold: boolean): void {
    if (hold) {
      this.#later ??= [];
      return;
    }
    const later = this.#later ?? [];
    this.#later = undefined;
    for (const event of later) this.event(event);
  }

  notice(code: NoticeCode, message: string): void {
    const event = { kind: 'notice', code, message } as const;
    if (this.#later) this.#later.push(event);
    else this.event(event);
  }

  stamp({ latency }: Capture, mark: Mark, agoMs = 0): void {
    latency.stamp(mark, this.#deps.clock.now() + this.#wallOffsetMs - agoMs);
  }

  /** The marks of an utterance: once, when nothing more is told of it but its end. */
  marks({ id, latency: { marks } }: Capture): SessionEvent {
    this.#books.latency(id, marks);
    return { kind: 'marks', utteranceId: id, marks };
  }

  /** Tells what was understood so far, now or as soon as it is due. */
  pace(capture: Capture): void {
    const { clock, settings } = this.#deps;
    this.quiet();
    const { text, pacer, audioMs } = capture;
    const stretch = this.#backpressure.active ? settings.backpressureSkip : 1;
    const waitMs = pacer.waitMs(text, clock.now(), audioMs, stretch);
    if (waitMs === undefined) return;
    if (waitMs > 0) {
      this.#pacing = clock.after(waitMs, () => this.pace(capture));
      return;
    }
    pacer.told(text, clock.now(), audioMs);
    this.stamp(capture, 't1');
    this.event({ kind: 'transcript', utteranceId: capture.id, text });
  }

  /** No partial is due any more. */
  quiet(): void {
    this.#pacing?.cancel();
  }

  onLoad(load: OutboxLoad): void {
    const change = this.#backpressure.update(load);
    if (change === undefined) return;
    this.#books.backpressure(change, load.events);
    if (change === 'on') this.notice('backpressure_on', 'You read slowly: partials become rare.');
    else this.notice('backpressure_off', 'You have caught up.');
  }

  /** The engine begins to hear an utterance, at `sample` of the session. */
  engineBegins(sample: number): void {
    this.#rtf.begin(sample, this.#deps.clock.now());
  }

  engineTook(id: string | undefined, sample: number, workMs: number): void {
    this.#decoded(id, this.#rtf.heard(sample, workMs, this.#deps.clock.now()));
  }

  /** The engine is done with an utterance: what it did for that. */
  engineEnds(id: string): { readonly runs: number; readonly ms: number } {
    this.#decoded(id, this.#rtf.finish(this.#deps.clock.now()));
    return this.#rtf.total;
  }

  stop(): void {
    this.quiet();
    this.#backpressure.open();
  }

  #decoded(id: string | undefined, run: DecodeRun | undefined): void {
    if (run === undefined) return;
    this.#books.decode(id, run);
    if (!run.slow || this.#advised) return;
    this.#advised = true;
    this.notice(
      'rtf_advisory',
      'Transcription is slower than speech here; a smaller model would keep up.',
    );
  }
}
