import type { Clock } from '@voice-fleet/runtime/clock';
import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';
import { EnergyVad } from './energy-vad.ts';
import { type SileroDeps, type SileroStats, SileroVad } from './silero-vad.ts';
import type { Vad, VadListener, VadStream } from './vad.ts';
import { WebrtcVad } from './webrtc-vad.ts';

/** The best first. */
export const VADS = ['silero', 'webrtc', 'energy'] as const;
export type VadName = (typeof VADS)[number];
export const VAD_CHOICES = ['auto', ...VADS] as const;
export type VadChoice = (typeof VAD_CHOICES)[number];

export interface VadStats extends SileroStats {
  /** This detector is used from now on. */
  onVad(name: VadName): void;
}

export interface LadderDeps {
  readonly clock: Clock;
  readonly stats: VadStats;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
  readonly startThread?: SileroDeps['startThread'];
}

/** The detector in use, and those to go on with when it fails. */
export class VadLadder implements Vad {
  readonly #deps: LadderDeps;
  readonly #streams = new Set<LadderStream>();
  #vad: Vad & { readonly name: VadName } = new EnergyVad();
  /** Loaded with Silero, so that nothing has to be loaded when that fails. */
  #next: WebrtcVad | undefined;

  private constructor(deps: LadderDeps) {
    this.#deps = deps;
  }

  /** `auto`: the best that can be loaded. Rejects when the one that was asked for cannot be. */
  static async start(choice: VadChoice, deps: LadderDeps): Promise<VadLadder> {
    const ladder = new VadLadder(deps);
    const failed = (name: VadName) => (error: unknown) => {
      if (choice === name) throw error;
      const message = error instanceof Error ? error.message : String(error);
      deps.log('vad_unavailable', { vad: name, message });
      return undefined;
    };
    const webrtc =
      choice === 'energy' ? undefined : await WebrtcVad.start().catch(failed('webrtc'));
    const silero =
      choice === 'auto' || choice === 'silero'
        ? await SileroVad.start(ladder.#sileroDeps()).catch(failed('silero'))
        : undefined;
    ladder.#use(silero ?? webrtc ?? new EnergyVad());
    if (silero) ladder.#next = webrtc;
    return ladder;
  }

  get name(): VadName {
    return this.#vad.name;
  }

  open(listener: VadListener): VadStream {
    const stream = new LadderStream(listener, (closed) => void this.#streams.delete(closed));
    this.#streams.add(stream);
    stream.goOn(this.#vad);
    return stream;
  }

  async stop(): Promise<void> {
    for (const stream of this.#streams) stream.close();
    await this.#vad.stop();
    await this.#next?.stop();
  }

  #sileroDeps(): SileroDeps {
    const { clock, stats, log, startThread } = this.#deps;
    const onGivenUp = (how: string): void => {
      this.#use(this.#next ?? new EnergyVad());
      this.#next = undefined;
      log('vad_fell_back', { vad: this.name, how });
    };
    return { clock, stats, log, onGivenUp, ...(startThread && { startThread }) };
  }

  #use(vad: Vad & { readonly name: VadName }): void {
    this.#vad = vad;
    this.#deps.stats.onVad(vad.name);
    for (const stream of this.#streams) stream.goOn(vad);
  }
}

/** A stream that outlives its detector. */
class LadderStream implements VadStream {
  readonly #listener: VadListener;
  readonly #onClosed: (stream: LadderStream) => void;
  #inner: VadStream | undefined;
  #pushed = 0;
  #closed = false;

  constructor(listener: VadListener, onClosed: (stream: LadderStream) => void) {
    this.#listener = listener;
    this.#onClosed = onClosed;
  }

  /** The rest that is no whole frame for the detector before is not judged. */
  goOn(vad: Vad): void {
    const from = this.#pushed;
    this.#inner?.close();
    this.#inner = vad.open((fromSample, untilSample, voiced) =>
      this.#listener(from + fromSample, from + untilSample, voiced),
    );
  }

  push(pcm: Buffer): void {
    if (this.#closed) return;
    this.#pushed += pcm.length / BYTES_PER_SAMPLE;
    this.#inner?.push(pcm);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#inner?.close();
    this.#onClosed(this);
  }
}
