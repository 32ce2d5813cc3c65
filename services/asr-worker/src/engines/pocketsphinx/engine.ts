import { availableParallelism } from 'node:os';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type {
  AsrEngine,
  EngineCapabilities,
  EngineHealth,
  EngineStream,
  VoiceState,
} from '../engine.ts';
import { locateSphinx } from './locate.ts';
import { PocketsphinxStream } from './stream.ts';
import { Supervisor } from './supervisor.ts';

/** People talking without pause that one core decodes in real time: docs/adr/0006-embedded-engine.md. */
const SLOTS_PER_CORE = 4;
/** Bounds what a stream keeps in order to be decoded anew: 72 s. */
export const MAX_SEGMENT_SAMPLES = 1_152_000;
const WATCH_INTERVAL_MS = 1_000;

export interface PocketsphinxDeps {
  readonly clock: Clock;
  /** Streams decoded at the same time; each costs 91 MB from its first word on. */
  readonly slots?: number;
  readonly log?: (event: string, fields: Record<string, unknown>) => void;
  /** The only place to look for the Debian packages, instead of the system and `.cache/debian/root`. */
  readonly root?: string;
}

export const POCKETSPHINX_CAPABILITIES: EngineCapabilities = {
  streaming: true,
  gpu: false,
  languages: ['en'],
  minMemoryMiB: 128,
  maxSegmentSamples: MAX_SEGMENT_SAMPLES,
};

/** Debian's pocketsphinx in a forked process. When that dies, a fresh one starts all open streams over, unheard. */
export class PocketsphinxEngine implements AsrEngine {
  readonly name = 'pocketsphinx';
  readonly model = 'pocketsphinx-en-us';
  readonly capabilities = POCKETSPHINX_CAPABILITIES;
  readonly slots: number;
  readonly #deps: PocketsphinxDeps;
  readonly #streams = new Map<number, PocketsphinxStream>();
  #supervisor: Supervisor | undefined;
  #watch: Timer | undefined;
  #nextStream = 1;
  /** Why no stream will ever be served again. */
  #ended: Error | undefined;

  constructor(deps: PocketsphinxDeps) {
    this.#deps = deps;
    this.slots = deps.slots ?? SLOTS_PER_CORE * availableParallelism();
  }

  async start(): Promise<void> {
    if (this.#supervisor) throw new Error('the engine is started once');
    const { clock, root, log = () => {} } = this.#deps;
    const files = locateSphinx(root === undefined ? undefined : [root]);
    this.#supervisor = new Supervisor({
      clock,
      log,
      load: { kind: 'load', files, decoders: this.slots },
      onReady: () => {
        for (const stream of this.#streams.values()) stream.replay();
      },
      onReply: (reply) => this.#streams.get(reply.stream)?.receive(reply),
      onDown: (why) => {
        for (const stream of this.#streams.values()) stream.onDown(why);
      },
    });
    this.#watch = clock.every(WATCH_INTERVAL_MS, () => this.#replaceStuckChild());
    try {
      await this.#supervisor.start();
    } catch (error) {
      this.#end(error as Error);
      throw error;
    }
  }

  health(): EngineHealth {
    if (!this.#supervisor) return { state: 'uninitialized', reason: 'not started' };
    const { state, reason } = this.#supervisor;
    return reason === undefined ? { state } : { state, reason };
  }

  open(voice: VoiceState): EngineStream {
    const id = this.#nextStream++;
    const stream = new PocketsphinxStream({
      id,
      voice,
      clock: this.#deps.clock,
      maxSamples: MAX_SEGMENT_SAMPLES,
      send: (message) => this.#supervisor?.send(message),
      onClosed: () => this.#streams.delete(id),
    });
    this.#streams.set(id, stream);
    if (this.#ended) stream.fail(this.#ended);
    else stream.replay();
    return stream;
  }

  async stop(): Promise<void> {
    this.#end(new Error('the engine was stopped'));
    await this.#supervisor?.stop();
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#watch?.cancel();
    for (const stream of this.#streams.values()) stream.fail(error);
  }

  #replaceStuckChild(): void {
    if (!this.#supervisor?.isReady) return;
    for (const stream of this.#streams.values()) {
      if (stream.isStalled) return this.#supervisor.replace('it stalled');
    }
  }
}
