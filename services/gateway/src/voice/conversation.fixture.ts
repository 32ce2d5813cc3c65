import { setImmediate as turn } from 'node:timers/promises';
import type { ReplyChunk } from '@voice-fleet/protocol/chunk';
import type { ClientCommand, SessionEvent, VoiceStart } from '@voice-fleet/protocol/session';
import type { TurnEvent } from '@voice-fleet/protocol/turn';
import type { Clock } from '@voice-fleet/runtime/clock';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { owner } from '../chronicle/chronicle.fixture.ts';
import { GatewayMetrics } from '../metrics.ts';
import { FakeSink } from '../session/session.fixture.ts';
import { newTotals } from '../session/session-deps.ts';
import { Conversation } from './conversation.ts';
import type { VoiceSession } from './listening.ts';
import type { VoiceSettings } from './voice-env.ts';

export const SETTINGS: VoiceSettings = {
  enabled: true,
  silenceMs: 700,
  partialIntervalMs: 1000,
  pcmChunkSamples: 5120,
  maxUtteranceMs: 30_000,
  backpressureThreshold: 50,
  backpressureSkip: 3,
  asrTimeoutMs: 10_000,
  logLatency: true,
  modelLabel: '',
  llmTtsUrl: '',
  llmTimeoutMs: 30_000,
  ttsTimeoutMs: 10_000,
  maxPendingPhrases: 5,
};

/** A clock that the test turns. */
export interface TurnedClock extends Clock {
  readonly pending: number;
  advance(ms: number): void;
}

/** One reply that the test feeds. */
export class Script<E, R = unknown> {
  readonly request: R;
  readonly signal: AbortSignal;
  #steps: (E | undefined | Error)[] = [];
  #wake: (() => void) | undefined;

  constructor(request: R, signal: AbortSignal) {
    this.request = request;
    this.signal = signal;
    signal.addEventListener('abort', () => this.#wake?.());
  }

  /** Undefined: it is over. */
  async say(...steps: (E | undefined | Error)[]): Promise<void> {
    this.#steps.push(...steps);
    this.#wake?.();
    await turn();
  }

  async *events(): AsyncGenerator<E> {
    for (;;) {
      this.signal.throwIfAborted();
      if (this.#steps.length === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const step = this.#steps.shift();
      if (step === undefined) return;
      if (step instanceof Error) throw step;
      yield step;
    }
  }
}

/** A conversation whose session, client and llm-tts are the test. */
export class Rig {
  readonly clock: TurnedClock;
  readonly sink = new FakeSink();
  readonly metrics = new GatewayMetrics([]);
  readonly logged: Record<string, unknown>[] = [];
  /** What was asked of the session. */
  readonly asked: string[] = [];
  readonly turns: Script<TurnEvent>[] = [];
  readonly chats: Script<ReplyChunk, { wav: Buffer; options: object }>[] = [];
  readonly totals = newTotals();
  readonly conversation: Conversation;
  #utterances = 0;

  constructor(clock: TurnedClock, settings: Partial<VoiceSettings> = {}) {
    this.clock = clock;
    const session: VoiceSession = {
      id: 's',
      totals: this.totals,
      apply: (command) => this.#onCommand(command),
      perform: (command) => this.#onCommand(command),
      finish: () => void this.asked.push('finish'),
      drop: () => void this.asked.push('drop'),
    };
    const log = createLogger('gateway', 'debug', {
      write: (line: string) => void this.logged.push(JSON.parse(line) as Record<string, unknown>),
    });
    this.conversation = new Conversation(session, owner(clock, log), this.sink, {
      clock,
      metrics: this.metrics,
      settings: { ...SETTINGS, ...settings },
      turns: {
        open: (request, signal) => {
          const script = new Script<TurnEvent>(request, signal);
          this.turns.push(script);
          return script.events();
        },
      },
      audioReplies: {
        chatReply: (wav, options, signal) => {
          const script = new Script<ReplyChunk, { wav: Buffer; options: object }>(
            { wav, options },
            signal,
          );
          this.chats.push(script);
          return script.events();
        },
      },
    });
  }

  /** What the client was told since the last call: kinds, errors by their code. */
  told(): string[] {
    return this.sink.events.splice(0).map((event) => {
      if (event.kind === 'error') return event.error.code;
      if (event.kind === 'notice') return event.code;
      return event.kind === 'token' && event.done ? 'done' : event.kind;
    });
  }

  start(voice: Partial<VoiceStart> = {}): void {
    this.conversation.apply({
      kind: 'start',
      utteranceId: '',
      voice: { mode: 'voice', endpointing: true, ...voice },
    });
  }

  /** Audio of so many ms, as fast as it is spoken, or at once. */
  audio(ms: number, { live = false } = {}): void {
    for (let left = ms; left > 0; left -= 100) {
      const pcm = Buffer.alloc(32 * Math.min(left, 100), 1);
      this.conversation.apply({ kind: 'audio', utteranceId: undefined, pcm });
      if (live) this.clock.advance(Math.min(left, 100));
    }
  }

  stop(): void {
    this.conversation.apply({ kind: 'finalize', utteranceId: undefined });
  }

  cancel(): void {
    this.conversation.apply({ kind: 'cancel', reason: 'r' });
  }

  /** The session tells of its utterance, the last one unless it is said which. */
  hears(text: string, tail = '', utterance = this.#utterances): void {
    this.conversation.event({ kind: 'partial', utteranceId: `s.${utterance}`, text, tail });
  }

  async final(text: string, utterance = this.#utterances): Promise<void> {
    const usage = { promptTokens: 0, completionTokens: 0 };
    this.conversation.event({ kind: 'final', utteranceId: `s.${utterance}`, text, usage });
    await turn();
  }

  /** A whole utterance, up to its answer. */
  async said(text: string): Promise<void> {
    this.start();
    this.audio(1000);
    this.stop();
    await this.final(text);
    this.told();
  }

  get lastUtterance(): string {
    return `s.${this.#utterances}`;
  }

  #onCommand(command: ClientCommand): void {
    if (command.kind === 'start') {
      this.#utterances += 1;
      const end = command.silenceMs === undefined ? '' : ` to ${command.silenceMs}`;
      this.asked.push(`start ${command.utteranceId}${end}`);
    } else if (command.kind === 'audio') {
      this.totals.acceptedSamples += command.pcm.length / 2;
      this.asked.push(`audio ${command.pcm.length / 32}`);
    } else this.asked.push(command.kind);
    if (command.kind !== 'cancel') return;
    const event: SessionEvent = { kind: 'cancelled', reason: command.reason };
    this.conversation.event(event);
  }
}
