import { VoiceError } from '@voice-fleet/protocol/errors';
import type { ClientCommand, CloseReason, SessionEvent } from '@voice-fleet/protocol/session';
import type { DialectCodec } from '../dialect.ts';
import { parseFlat } from '../flat-json.ts';
import type { OpenAiCodec } from '../openai-realtime/codec.ts';
import { decodePcm } from '../pcm-base64.ts';
import { VllmCodec } from '../vllm-realtime/codec.ts';
import { dialectOfFrame, type RealtimeDialect } from './hints.ts';

/** Two seconds of 24 kHz as base64. Clients of vLLM name their model before any audio, so whoever sends so much is none. */
const MAX_HELD_BYTES = 128 * 1024;

/**
 * Two protocols share a path. Until it is clear which one a client speaks it gets one greeting that serves both, and its
 * audio is held as it came; from then on it is spoken to in that one alone.
 */
export class RealtimeCodec implements DialectCodec {
  readonly #openAi: OpenAiCodec;
  /** An error before it is clear has the form of OpenAI's: its clients end at any other, those of vLLM print it. */
  #spoken: OpenAiCodec | VllmCodec;
  #latched = false;
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(openAi: OpenAiCodec, dialect: RealtimeDialect | undefined) {
    this.#openAi = openAi;
    this.#spoken = dialect === 'vllm' ? new VllmCodec() : openAi;
    this.#latched = dialect !== undefined;
  }

  /** Only OpenAI has such tokens. */
  bind(session: string): void {
    this.#openAi.bind(session);
    this.#spoken = this.#openAi;
    this.#latched = true;
  }

  get opening(): ClientCommand {
    return this.#spoken.opening;
  }

  decode(data: Buffer): ClientCommand {
    if (this.#latched) return this.#spoken.decode(data);
    const dialect = this.#dialectOf(data);
    if (dialect === undefined) {
      // A copy: a frame may be a part of something larger.
      this.#held.push(Buffer.from(data));
      return { kind: 'ignore' };
    }
    const codec = dialect === 'vllm' ? new VllmCodec() : this.#openAi;
    const decoded = [...this.#held, data].map((frame) => codec.decode(frame));
    // Only now: a frame that is not valid tells nothing for certain, and costs nothing of what is held.
    this.#held = [];
    this.#spoken = codec;
    this.#latched = true;
    const first = dialect === 'vllm' ? [codec.opening] : [];
    return { kind: 'several', commands: [...first, ...decoded].flatMap(each) };
  }

  unread(): void {
    this.#openAi.unread();
  }

  encode(event: SessionEvent): readonly string[] {
    if (event.kind === 'created' && !this.#latched) {
      const greeting = new VllmCodec().greeting(event.session);
      const session = this.#openAi.greeting(event.session);
      return [this.#openAi.frame({ type: 'session.created', ...greeting, session })];
    }
    return this.#spoken.encode(event);
  }

  close(reason: CloseReason): { readonly code: number; readonly reason: string } {
    return this.#spoken.close(reason);
  }

  /** Undefined: it stays unclear. */
  #dialectOf(data: Buffer): RealtimeDialect | undefined {
    const frame = parseFlat(data);
    const dialect = dialectOfFrame(frame, this.#held.length > 0);
    if (dialect !== undefined) return dialect;
    const { type, audio } = (frame ?? {}) as { readonly type?: unknown; readonly audio?: unknown };
    if (type !== 'input_audio_buffer.append')
      throw new VoiceError('invalid_message', {
        message: 'A message is a JSON object with a `type`.',
      });
    // One that is no audio is told now: held, it would cost the frame that tells them apart.
    decodePcm(audio);
    this.#heldBytes += data.length;
    return this.#heldBytes > MAX_HELD_BYTES ? 'openai' : undefined;
  }
}

function each(command: ClientCommand): readonly ClientCommand[] {
  return command.kind === 'several' ? command.commands : [command];
}
