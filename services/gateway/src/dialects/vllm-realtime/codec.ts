import { VoiceError } from '@voice-fleet/protocol/errors';
import type { LinkWord } from '@voice-fleet/protocol/link';
import type {
  ClientCommand,
  CloseReason,
  SessionEvent,
  SessionInfo,
} from '@voice-fleet/protocol/session';
import {
  VllmClientEvent,
  type VllmErrorCode,
  type VllmServerEvent,
} from '@voice-fleet/protocol/vllm-realtime';
import { spaced } from '@voice-fleet/speech/words';
import type { DialectCodec } from '../dialect.ts';
import { parseFlat } from '../flat-json.ts';
import { closeOf } from '../openai-realtime/close.ts';
import { decodePcm } from '../pcm-base64.ts';

/** Where vLLM has a name of its own; all else is `processing_error`. */
const CODES: Partial<Record<VoiceError['code'], VllmErrorCode>> = {
  invalid_message: 'invalid_event',
  unknown_message_type: 'unknown_event',
  unsupported_model: 'model_not_found',
  model_not_found: 'model_not_found',
  missing_audio: 'invalid_audio',
  invalid_audio: 'invalid_audio',
};
const KNOWN_TYPES: ReadonlySet<unknown> = new Set(
  VllmClientEvent.options.map(({ shape }) => shape.type.value),
);

/** Sessions as `vllm serve` has them; see docs/protocols/vllm-realtime.md. */
export class VllmCodec implements DialectCodec {
  /** Of the utterances that make up one generation, as it is told as one. */
  #text = '';
  #tokens = { prompt: 0, completion: 0 };
  /** Words of the present utterance that were told. */
  #told = 0;
  /** Utterances that end a generation, and are not transcribed yet. */
  readonly #last = new Set<string>();

  readonly opening: ClientCommand = { kind: 'listen', options: {} };

  decode(data: Buffer): ClientCommand {
    const event = parse(data);
    switch (event.type) {
      case 'session.update':
        return { kind: 'listen', options: { model: event.model } };
      case 'input_audio_buffer.append':
        return { kind: 'audio', utteranceId: undefined, pcm: decodePcm(event.audio) };
      case 'input_audio_buffer.commit':
        // Not final: it may begin, and does with its first audio.
        return event.final ? { kind: 'finalize', utteranceId: undefined } : { kind: 'ignore' };
    }
  }

  encode(event: SessionEvent): readonly string[] {
    return this.#wire(event).map((told) => JSON.stringify(told));
  }

  /** The session as greeted clients see it. */
  greeting({ id, createdAtS }: SessionInfo): { readonly id: string; readonly created: number } {
    return { id, created: createdAtS };
  }

  close(reason: CloseReason): { readonly code: number; readonly reason: string } {
    return closeOf(reason);
  }

  #wire(event: SessionEvent): readonly VllmServerEvent[] {
    switch (event.kind) {
      case 'created':
        return [{ type: 'session.created', ...this.greeting(event.session) }];
      case 'committed':
        // An utterance that became too long is followed by another, of the same generation.
        if (event.cause !== 'length') this.#last.add(event.utteranceId);
        return [];
      case 'heard':
        return this.#delta(event.words);
      case 'transcribed':
        return this.#transcribed(event);
      case 'failed':
        this.#last.delete(event.utteranceId);
        this.#begin();
        return [wireError(event.error)];
      case 'error':
        // Of audio that is ended without having begun nothing was understood.
        if (event.error.code === 'empty_commit') return [this.#done()];
        return event.error.tier === 'recoverable' ? [] : [wireError(event.error)];
      default:
        return [];
    }
  }

  #delta(words: readonly LinkWord[]): readonly VllmServerEvent[] {
    const text = words.map((word) => word.text).join('');
    if (text === '') return [];
    const delta = this.#told === 0 ? spaced(this.#text, text) : text;
    this.#told += words.length;
    this.#text += delta;
    return [{ type: 'transcription.delta', delta }];
  }

  #transcribed({
    utteranceId,
    words,
    usage,
  }: Extract<SessionEvent, { kind: 'transcribed' }>): readonly VllmServerEvent[] {
    const rest = this.#delta(words.slice(this.#told));
    this.#told = 0;
    this.#tokens.prompt += usage.promptTokens;
    this.#tokens.completion += usage.completionTokens;
    return this.#last.delete(utteranceId) ? [...rest, this.#done()] : rest;
  }

  #done(): VllmServerEvent {
    const { prompt, completion } = this.#tokens;
    const usage = {
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: prompt + completion,
    };
    const text = this.#text;
    this.#begin();
    return { type: 'transcription.done', text, usage };
  }

  #begin(): void {
    this.#text = '';
    this.#tokens = { prompt: 0, completion: 0 };
    this.#told = 0;
  }
}

function parse(data: Buffer): VllmClientEvent {
  const frame = parseFlat(data);
  const parsed = VllmClientEvent.safeParse(frame);
  if (parsed.success) return parsed.data;
  const type = typeof frame === 'object' && frame !== null && 'type' in frame && frame.type;
  if (typeof type === 'string' && !KNOWN_TYPES.has(type))
    throw new VoiceError('unknown_message_type', {
      message: `Unknown event type: ${type.slice(0, 200)}`,
    });
  const where = parsed.error.issues[0]?.path.join('.') || 'message';
  throw new VoiceError('invalid_message', { message: `${where} is missing or not valid.` });
}

function wireError({ code, message }: VoiceError): VllmServerEvent {
  const name = CODES[code] ?? 'processing_error';
  const told = name === 'invalid_audio' ? 'audio must be base64 of PCM16 at 16 kHz.' : message;
  return { type: 'error', error: told, code: name };
}
