import { VoiceError } from '@voice-fleet/protocol/errors';
import {
  MISTRAL_CLIENT_TYPES,
  MISTRAL_MAX_APPEND_BYTES,
  type MistralAudioFormat,
  MistralClientMessage,
  type MistralServerMessage,
} from '@voice-fleet/protocol/mistral-realtime';
import type {
  ClientCommand,
  CloseReason,
  CommitCause,
  ListenOptions,
  SessionEvent,
  SessionInfo,
  Usage,
} from '@voice-fleet/protocol/session';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { PcmDecoder, type PcmEncoding } from '@voice-fleet/speech/pcm-decoder';
import type { DialectCodec } from '../dialect.ts';
import { parseFlat } from '../flat-json.ts';
import { decodeBase64 } from '../pcm-base64.ts';
import { type StreamClose, streamClose } from '../stream-close.ts';

const FORMAT: MistralAudioFormat = { encoding: 'pcm_s16le', sample_rate: SAMPLE_RATE };
const NO_USAGE: Usage = { promptTokens: 0, completionTokens: 0 };

type Done = Extract<MistralServerMessage, { type: 'transcription.done' }>;

/** A stream of Mistral's realtime transcription. What is said between two flushes is one transcript, however long it is. */
export class MistralCodec implements DialectCodec {
  readonly opening: ClientCommand;
  readonly #model: string | undefined;
  #format = FORMAT;
  /** Made for its first audio: the format may change until then, and a filter takes long to make. */
  #decoder: PcmDecoder | undefined;
  #options: ListenOptions;
  #session: SessionInfo | undefined;
  #begun = false;
  /** Updates of the client's that are not answered yet. */
  #updates = 0;
  /** The end was sent, and its transcript is owed. */
  #ending = false;
  /** Why each utterance under way has ended. */
  readonly #causes = new Map<string, CommitCause>();
  #text = '';
  #usage = NO_USAGE;
  #audioSamples = 0;

  constructor(model: string | undefined) {
    this.#model = model;
    this.#options = model === undefined ? {} : { model };
    this.opening = { kind: 'listen', options: this.#options };
  }

  decode(data: Buffer, isBinary: boolean): ClientCommand {
    if (isBinary)
      throw new VoiceError('binary_not_supported', {
        message: 'Send audio as base64 in input_audio.append.',
      });
    const message = parse(data);
    switch (message.type) {
      case 'session.update':
        return this.#update(message.session);
      case 'input_audio.append':
        return this.#append(message.audio);
      case 'input_audio.flush':
        return { kind: 'finalize', utteranceId: undefined };
      case 'input_audio.end':
        this.#ending = true;
        return { kind: 'finish' };
    }
  }

  encode(event: SessionEvent): readonly string[] {
    return this.#messages(event).map((message) => JSON.stringify(message));
  }

  close(reason: CloseReason): StreamClose {
    return streamClose(reason, {
      idle: { code: 1008, reason: 'no audio came for too long' },
      'max-duration': { code: 1008, reason: 'the session is as long as it may be' },
    });
  }

  #update(
    session: Extract<MistralClientMessage, { type: 'session.update' }>['session'],
  ): ClientCommand {
    if (this.#begun)
      throw new VoiceError('invalid_message', {
        message: 'The session cannot be changed any more, as audio was sent. Open another one.',
      });
    const { audio_format, target_streaming_delay_ms: delayMs } = session;
    if (audio_format) this.#format = audio_format;
    const { delayMs: before, ...rest } = this.#options;
    const wish = delayMs === undefined ? before : (delayMs ?? undefined);
    this.#options = { ...rest, ...(wish !== undefined && { delayMs: wish }) };
    this.#updates += 1;
    return { kind: 'listen', options: this.#options };
  }

  #append(audio: string): ClientCommand {
    const bytes = decodeBase64(audio);
    if (bytes.length > MISTRAL_MAX_APPEND_BYTES)
      throw new VoiceError('message_too_large', {
        details: { max_bytes: MISTRAL_MAX_APPEND_BYTES },
      });
    this.#begun = true;
    this.#decoder ??= decoderOf(this.#format);
    const pcm = this.#decoder.push(bytes);
    if (pcm.length === 0) return { kind: 'ignore' };
    this.#audioSamples += pcm.length / BYTES_PER_SAMPLE;
    return { kind: 'audio', utteranceId: undefined, pcm };
  }

  #messages(event: SessionEvent): readonly MistralServerMessage[] {
    switch (event.kind) {
      case 'created':
        this.#session = event.session;
        return [{ type: 'session.created', session: this.#wireSession(undefined) }];
      case 'listening':
        if (this.#updates === 0) return [];
        this.#updates -= 1;
        return [{ type: 'session.updated', session: this.#wireSession(event.options.delayMs) }];
      case 'heard': {
        const text = event.words.map((word) => word.text).join('');
        if (text === '') return [];
        this.#text += text;
        return [{ type: 'transcription.text.delta', text }];
      }
      case 'committed':
        this.#causes.set(event.utteranceId, event.cause);
        return [];
      case 'transcribed':
        return this.#after(event.utteranceId, event.usage);
      case 'failed':
        return [failure(event.error), ...this.#after(event.utteranceId, NO_USAGE)];
      case 'ended':
        return this.#ending ? [this.#done()] : [];
      case 'error':
        // Clients flush whenever they hear nobody, whether anything was said or not.
        return event.error.code === 'empty_commit' ? [] : [failure(event.error)];
      default:
        return [];
    }
  }

  /** An utterance is over. One that was cut for its length goes on in the next, and what comes at the end is told at the end. */
  #after(utteranceId: string, usage: Usage): MistralServerMessage[] {
    this.#usage = {
      promptTokens: this.#usage.promptTokens + usage.promptTokens,
      completionTokens: this.#usage.completionTokens + usage.completionTokens,
    };
    const cause = this.#causes.get(utteranceId);
    this.#causes.delete(utteranceId);
    return cause === 'client' ? [this.#done()] : [];
  }

  #done(): Done {
    const { promptTokens, completionTokens } = this.#usage;
    const done: Done = {
      type: 'transcription.done',
      model: this.#name,
      text: this.#text,
      language: null,
      segments: [],
      usage: {
        prompt_tokens: promptTokens,
        completion_tokens: completionTokens,
        total_tokens: promptTokens + completionTokens,
        prompt_audio_seconds: Math.ceil(this.#audioSamples / SAMPLE_RATE),
      },
    };
    this.#text = '';
    this.#usage = NO_USAGE;
    this.#audioSamples = 0;
    return done;
  }

  get #name(): string {
    return this.#session?.model ?? this.#model ?? '';
  }

  #wireSession(delayMs: number | undefined) {
    return {
      request_id: this.#session?.id ?? '',
      model: this.#name,
      audio_format: this.#format,
      target_streaming_delay_ms: delayMs ?? null,
    };
  }
}

function parse(data: Buffer): MistralClientMessage {
  const value = parseFlat(data);
  const result = MistralClientMessage.safeParse(value);
  if (result.success) return result.data;
  const type = (value as { type?: unknown } | null)?.type;
  if (typeof type === 'string' && !MISTRAL_CLIENT_TYPES.some((known) => known === type))
    throw new VoiceError('unknown_message_type', {
      message: `Unknown message type. Known types: ${MISTRAL_CLIENT_TYPES.join(', ')}.`,
    });
  const [issue] = result.error.issues;
  throw new VoiceError('invalid_message', {
    message: `The message is not valid: ${issue?.path.join('.') || 'message'}: ${issue?.message ?? 'invalid'}.`,
  });
}

function decoderOf({ encoding, sample_rate: rate }: MistralAudioFormat): PcmDecoder {
  return new PcmDecoder({ encoding: encoding.slice('pcm_'.length) as PcmEncoding, rate });
}

function failure({ message, status: code }: VoiceError): MistralServerMessage {
  return { type: 'error', error: { message, code } };
}
