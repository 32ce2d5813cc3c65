import type { Clock } from '@voice-fleet/runtime/clock';
import type {
  AsrEngine,
  EngineCapabilities,
  EngineEvent,
  EngineHealth,
  EngineLoad,
  EngineStream,
  EngineWork,
  StreamOrigin,
  VoiceState,
} from './engine.ts';

/** Streams of one engine that fail in a row before the next engine takes over. */
const MAX_FAULTS = 3;
/** How long an engine that failed is left alone. */
const REST_MS = 30_000;

export interface FallbackDeps {
  readonly clock: Clock;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
}

interface Member {
  readonly engine: AsrEngine;
  faults: number;
  restUntilMs: number;
}

/**
 * Several engines as one: each stream goes to the first that is ready and does not fail. An utterance whose stream fails
 * opens its next one here, so it is finished by whichever engine works.
 */
export class FallbackEngine implements AsrEngine {
  readonly capabilities: EngineCapabilities;
  readonly #members: readonly Member[];
  readonly #deps: FallbackDeps;
  #last: AsrEngine;
  #stopped = false;

  /** In order of preference, at least one. */
  constructor(engines: readonly [AsrEngine, ...AsrEngine[]], deps: FallbackDeps) {
    this.#members = engines.map((engine) => ({ engine, faults: 0, restUntilMs: 0 }));
    this.#deps = deps;
    this.#last = engines[0];
    this.capabilities = common(engines.map(({ capabilities }) => capabilities));
  }

  get name(): string {
    return this.#present.name;
  }

  /** Of the preferred engine, whichever serves: clients that ask for it by name are served all the same. */
  get model(): string {
    return this.#members[0]?.engine.model ?? '';
  }

  get slots(): number {
    return this.#present.slots;
  }

  /** Settles with the first that is ready; rejects when none will be. */
  async start(): Promise<void> {
    const starting = this.#members.map(async ({ engine }) => {
      try {
        await engine.start();
      } catch (error) {
        const why = messageOf(error);
        if (!this.#stopped) this.#deps.log('engine_unavailable', { engine: engine.name, why });
        throw error;
      }
    });
    await Promise.any(starting).catch((error: AggregateError) => {
      throw new Error(error.errors.map(messageOf).join('; '));
    });
  }

  health(): EngineHealth {
    return this.#present.health();
  }

  work(): EngineWork | undefined {
    return this.#present.work?.();
  }

  async measure(): Promise<EngineLoad | undefined> {
    return this.#present.measure?.();
  }

  open(voice: VoiceState, origin: StreamOrigin): EngineStream {
    const member = this.#pick();
    const { engine } = member;
    if (engine !== this.#last) {
      this.#deps.log('engine_switched', { from: this.#last.name, to: engine.name });
      this.#last = engine;
    }
    const stream = engine.open(voiceFor(voice, engine), origin);
    return {
      write: (pcm) => stream.write(pcm),
      finish: () => stream.finish(),
      abort: () => stream.abort(),
      events: this.#watched(stream.events, member),
    };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#members.map(({ engine }) => engine.stop()));
  }

  /** What the next stream would get. */
  get #present(): AsrEngine {
    return this.#pick().engine;
  }

  #pick(): Member {
    const nowMs = this.#deps.clock.now();
    const ready = this.#members.filter(({ engine }) => engine.health().state === 'ready');
    const rested = ready.find(({ restUntilMs }) => restUntilMs <= nowMs);
    const [first] = this.#members;
    const member = rested ?? ready[0] ?? first;
    if (!member) throw new Error('there is no engine');
    return member;
  }

  async *#watched(events: AsyncIterable<EngineEvent>, member: Member): AsyncGenerator<EngineEvent> {
    try {
      for await (const event of events) {
        if (event.kind === 'end') member.faults = 0;
        yield event;
      }
    } catch (error) {
      member.faults += 1;
      if (member.faults >= MAX_FAULTS) {
        member.faults = 0;
        member.restUntilMs = this.#deps.clock.now() + REST_MS;
        const { name } = member.engine;
        this.#deps.log('engine_rested', { engine: name, forMs: REST_MS, why: messageOf(error) });
      }
      throw error;
    }
  }
}

/** What holds whichever engine a stream gets. */
function common(all: readonly EngineCapabilities[]): EngineCapabilities {
  const limits = all.flatMap(({ maxSegmentSamples }) => maxSegmentSamples ?? []);
  const errors = all.flatMap(({ timeErrorSamples }) => timeErrorSamples ?? []);
  const [first] = all;
  return {
    streaming: all.every(({ streaming }) => streaming),
    gpu: all.some(({ gpu }) => gpu),
    languages:
      first?.languages.filter((code) => all.every(({ languages }) => languages.includes(code))) ??
      [],
    minMemoryMiB: all.reduce((sum, { minMemoryMiB }) => sum + minMemoryMiB, 0),
    endless: all.every(({ endless }) => endless === true),
    tellsHeard: all.every(({ tellsHeard }) => tellsHeard === true),
    ...(limits.length > 0 ? { maxSegmentSamples: Math.min(...limits) } : {}),
    ...(errors.length > 0 ? { timeErrorSamples: Math.max(...errors) } : {}),
  };
}

/** Each engine keeps its own notes on a speaker. */
function voiceFor(voice: VoiceState, engine: AsrEngine): VoiceState {
  voice.value ??= new Map<AsrEngine, VoiceState>();
  const notes = voice.value as Map<AsrEngine, VoiceState>;
  const own = notes.get(engine) ?? {};
  notes.set(engine, own);
  return own;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
