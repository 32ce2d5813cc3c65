import type { ReplyChunk } from '@voice-fleet/protocol/chunk';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { audioReply, type ReplyReport } from './audio-reply.ts';
import type { ChatEngine } from './chat-engine.ts';
import type { ChatSettings } from './chat-env.ts';
import type { ChatForm } from './chat-form.ts';
import { OpenAiChatEngine } from './openai-chat-engine.ts';
import { hear } from './sound.ts';

/** What is counted of replies. */
export interface ChatStats {
  onActive(count: number): void;
  onReply(report: ReplyReport): void;
}

export interface AudioChatParts {
  /** Undefined: none is configured. */
  readonly engine: ChatEngine | undefined;
  readonly settings: ChatSettings;
  readonly clock: Clock;
  readonly stats: ChatStats;
  readonly log: Logger;
}

/** With the engine that the settings ask for. */
export function audioChatFrom(
  settings: ChatSettings,
  parts: Pick<AudioChatParts, 'clock' | 'stats' | 'log'>,
): AudioChat {
  const { upstream, timeoutMs } = settings;
  const engine = upstream && new OpenAiChatEngine(upstream, timeoutMs);
  return new AudioChat({ ...parts, settings, engine });
}

/** What the first words of a reply, and a whole one, should take; told in the log beside what they took. */
const TARGET_FIRST_CHUNK_MS = 100;
const TARGET_TOTAL_MS = 500;

/** Replies straight from audio: who may have one, and what is told of it. */
export class AudioChat {
  readonly clock: Clock;
  readonly settings: ChatSettings;
  readonly #parts: AudioChatParts;
  #active = 0;
  #isDraining = false;
  #onEmpty: (() => void) | undefined;

  constructor(parts: AudioChatParts) {
    this.#parts = parts;
    this.clock = parts.clock;
    this.settings = parts.settings;
  }

  /** Requests under way. */
  get active(): number {
    return this.#active;
  }

  /** Takes no more requests. Settles when the last has ended, and after `timeoutMs` at the latest: then they are to be cut off. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true;
    if (this.#active === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.clock.after(timeoutMs, resolve);
      this.#onEmpty = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /**
   * Takes a place for a request, until the signal aborts. Throws VoiceError: model_load_failed when there is no chat model,
   * at_capacity when all places are taken.
   */
  admit(signal: AbortSignal): AdmittedChat {
    const { engine, settings, stats } = this.#parts;
    if (engine === undefined)
      throw new VoiceError('model_load_failed', {
        message: 'No chat model that takes audio is configured here. Tell the operator.',
      });
    if (this.#isDraining || this.#active >= settings.maxStreams)
      throw new VoiceError('at_capacity', {
        message: 'As many replies are being made as may be. Try again shortly.',
        details: { retry_after_s: 1 },
      });
    const count = (by: number): void => {
      this.#active += by;
      stats.onActive(this.#active);
      if (this.#active === 0) this.#onEmpty?.();
    };
    count(1);
    signal.addEventListener('abort', () => count(-1), { once: true });
    const beganMs = this.clock.now();
    return { reply: (form) => this.#reply(form, engine, beganMs, signal) };
  }

  async #reply(
    { file, options }: ChatForm,
    engine: ChatEngine,
    beganMs: number,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<ReplyChunk>> {
    const { settings, stats, log } = this.#parts;
    const sound = await hear(file, settings, signal);
    const audioMs = sound.kind === 'speech' ? sound.durationMs : 0;
    const onEnd = (report: ReplyReport): void => {
      stats.onReply(report);
      const { fault, ...facts } = report;
      log.info({
        event: 'audio_reply',
        mode: options.mode,
        model: engine.model,
        audioMs,
        ...facts,
        targetFirstChunkMs: TARGET_FIRST_CHUNK_MS,
        targetTotalMs: TARGET_TOTAL_MS,
      });
      if (fault !== undefined) log.warn({ event: 'audio_reply_fault', err: fault });
    };
    const { timeoutMs, chunkTimeoutMs } = settings;
    const request = { sound, options, beganMs };
    return audioReply(request, engine, this.clock, { timeoutMs, chunkTimeoutMs, onEnd }, signal);
  }
}

/** A request that has a place. */
export interface AdmittedChat {
  /** Judges the audio, then gives its reply. Throws VoiceError message_too_large for audio that is too long. */
  reply(form: ChatForm): Promise<AsyncGenerator<ReplyChunk>>;
}
