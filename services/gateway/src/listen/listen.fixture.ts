import type { LinkWord } from '@voice-fleet/protocol/link';
import type { ListenOptions, SessionEvent } from '@voice-fleet/protocol/session';
import type { TurnEvent, TurnRequestInput } from '@voice-fleet/protocol/turn';
import { owner } from '../chronicle/chronicle.fixture.ts';
import { GatewayMetrics } from '../metrics.ts';
import type { LinkListener } from '../session/link.ts';
import { FakeLink, FakeRoute, FakeSink } from '../session/session.fixture.ts';
import { Session } from '../session/session.ts';
import { Script, SETTINGS, type TurnedClock } from '../voice/conversation.fixture.ts';
import { ListenPipeline } from './listen-pipeline.ts';

/** Samples. */
export const MS = 16;
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

export const word = (text: string, fromMs: number, toMs: number): LinkWord => ({
  text,
  startSample: fromMs * MS,
  endSample: toMs * MS,
});

/** A listening session whose client and worker are the test. Times are in ms. */
export class Rig {
  readonly clock: TurnedClock;
  readonly sink = new FakeSink();
  readonly link = new FakeLink();
  readonly #route = new FakeRoute();
  readonly pipeline: ListenPipeline;
  readonly session: Session;
  /** What was asked of llm-tts. */
  readonly turns: Script<TurnEvent, TurnRequestInput>[] = [];
  /** The one that the worker has. */
  utterance = 1;

  constructor(clock: TurnedClock, limits: Partial<typeof LIMITS> = {}) {
    this.clock = clock;
    const route = this.#route;
    route.answers = [async () => this.link];
    const pipeline = new ListenPipeline(this.sink, {
      clock,
      settings: SETTINGS,
      metrics: new GatewayMetrics([]),
      turns: {
        open: (request, signal) => {
          const turn = new Script<TurnEvent, TurnRequestInput>(request, signal);
          this.turns.push(turn);
          return turn.events();
        },
      },
      audioReplies: {
        chatReply: () => {
          throw new Error('no audio is answered');
        },
      },
    });
    this.pipeline = pipeline;
    this.session = new Session({
      ...{ id: 'sess_1', clock, sink: pipeline, route },
      limits: { ...LIMITS, ...limits },
    });
    pipeline.attach(this.session, owner(clock));
  }

  static async open(clock: TurnedClock, limits: Partial<typeof LIMITS> = {}): Promise<Rig> {
    const rig = new Rig(clock, limits);
    await rig.session.open({ waitMs: 0 });
    rig.sink.events.length = 0;
    return rig;
  }

  /** What the link asked for last reports to. */
  get worker(): LinkListener {
    const listener = this.#route.requests.at(-1)?.listener;
    if (listener === undefined) throw new Error('no link');
    return listener;
  }

  listen(options: ListenOptions): void {
    this.pipeline.apply({ kind: 'listen', options });
  }

  /** Silence ends utterances. */
  speakers(options: ListenOptions = {}): void {
    this.listen({ endpointing: { silenceMs: 500 }, ...options });
    this.sink.events.length = 0;
  }

  /** Silence, or as loud as a voice. */
  audio(ms: number, level = 0): void {
    const pcm = Buffer.alloc(2 * ms * MS);
    for (let at = 0; level !== 0 && at < pcm.length; at += 4) pcm.writeInt16LE(level, at);
    this.pipeline.apply({ kind: 'audio', utteranceId: undefined, pcm });
  }

  commit(): void {
    this.pipeline.apply({ kind: 'finalize', utteranceId: undefined });
  }

  partial(words: LinkWord[], tail = ''): void {
    this.worker.onUtterance({ type: 'partial', utterance: this.utterance, words, tail });
  }

  /** The worker is done with the utterance that it has. */
  final(...words: LinkWord[]): void {
    const usage = { promptTokens: 5, completionTokens: 2 };
    const { utterance } = this;
    this.utterance += 1;
    this.worker.onUtterance({ type: 'final', utterance, words, ...usage });
  }

  speech(moment: 'started' | 'ended', ms: number): void {
    const { utterance } = this;
    this.worker.onUtterance({ type: `speech_${moment}`, utterance, sample: ms * MS });
  }

  /** The engine keeps up. */
  taken(ms: number): void {
    this.worker.onTaken(ms * MS, undefined);
  }

  told<K extends SessionEvent['kind']>(kind: K): Extract<SessionEvent, { kind: K }>[] {
    return this.sink.events.filter(
      (event): event is Extract<SessionEvent, { kind: K }> => event.kind === kind,
    );
  }

  /** All that was told, ids as numbers in the order in which they were first told. */
  story(): string[] {
    const ids: string[] = [];
    const number = (id: string): number => {
      if (!ids.includes(id)) ids.push(id);
      return ids.indexOf(id) + 1;
    };
    return this.sink.events.map((event) => {
      switch (event.kind) {
        case 'speech-began':
        case 'speech-ended':
          return `${event.kind} ${number(event.utteranceId)} at ${event.sample / MS}`;
        case 'committed': {
          const { utteranceId, fromSample, toSample, cause } = event;
          return `committed ${number(utteranceId)} ${fromSample / MS}-${toSample / MS} ${cause}`;
        }
        case 'heard': {
          const { utteranceId, words, tail } = event;
          return `heard ${number(utteranceId)}${words.map(({ text }) => text).join('')} +${tail}`;
        }
        case 'transcribed':
          return `transcribed ${number(event.utteranceId)} ${event.text}`;
        case 'failed':
          return `failed ${number(event.utteranceId)} ${event.error.code}`;
        case 'quiet':
          return `quiet since ${event.sample / MS}`;
        case 'cleared':
          return `cleared ${event.utteranceId === undefined ? 'nothing' : number(event.utteranceId)}`;
        case 'token':
          return event.done ? 'done' : event.text;
        case 'speech':
          return `speech ${event.audio}`;
        case 'reply-began':
          return `reply to ${event.afterId === undefined ? 'nothing' : number(event.afterId)}`;
        case 'reply-ended': {
          const { outcome, text, error } = event;
          return `${outcome} ${text}${error ? ` ${error.code}` : ''}`;
        }
        default:
          return event.kind;
      }
    });
  }
}
