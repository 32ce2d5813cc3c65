import { type ErrorCode, VoiceError } from '@voice-fleet/protocol/errors';
import type {
  ClientCommand,
  CloseReason,
  ResumeOffer,
  SessionEvent,
  SessionInfo,
} from '@voice-fleet/protocol/session';
import {
  YAP_CLIENT_TYPES,
  type YapClientType,
  YapEnvelope,
  type YapServerFrame,
} from '@voice-fleet/protocol/yap';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { z } from 'zod';
import { ClientWishes } from '../client-wishes.ts';
import type { DialectCodec } from '../dialect.ts';
import { parseFlat } from '../flat-json.ts';
import { decodePcm } from '../pcm-base64.ts';
import { AppendTemplate, type Ids } from './append-template.ts';

/** Close codes and texts that operators may change. */
export interface YapSettings {
  readonly unauthorizedCode: number;
  readonly busyCode: number;
  readonly idleReason: string;
}

/** `payload.code` of an error; `details.reason_code` carries our own code. Those of the voice pipeline never come here. */
export const YAP_ERROR_CODES: Partial<Record<ErrorCode, string>> = {
  authentication_failed: 'authentication_failed',
  key_revoked: 'authentication_failed',
  scope_missing: 'authentication_failed',
  at_capacity: 'server_at_capacity',
  too_many_sessions: 'rate_limited',
  session_rate_limited: 'rate_limited',
  audio_quota_exhausted: 'rate_limited',
  resume_refused: 'resume_refused',
  fleet_unavailable: 'internal_error',
  invalid_message: 'invalid_message',
  unknown_message_type: 'invalid_message',
  binary_not_supported: 'invalid_message',
  message_too_large: 'invalid_message',
  unsupported_model: 'invalid_payload',
  missing_audio: 'invalid_payload',
  invalid_audio: 'invalid_audio',
  no_active_request: 'invalid_payload',
  request_id_mismatch: 'invalid_payload',
  message_rate_limited: 'rate_limited',
  cancel_rate_limited: 'rate_limited',
  inbound_queue_full: 'internal_error',
  worker_lost: 'internal_error',
  worker_unavailable: 'internal_error',
  engine_failed: 'processing_error',
  internal: 'internal_error',
};

const YapIds = z.object({ session_id: z.string(), request_id: z.string() });
const YapMemory = z.object({ seen: YapIds, utterance: YapIds.optional() });

const MAX_REASON_CHARS = 200;

/**
 * The envelope of `/api/asr-streaming`. Frames about an utterance carry the ids of the message that started it; all
 * others carry those of the last message seen.
 */
export class YapCodec implements DialectCodec {
  readonly wishes = new ClientWishes();
  readonly #settings: YapSettings;
  #seen: Ids = { session_id: 'unknown', request_id: 'unknown' };
  #utterance: Ids | undefined;
  readonly #lastAppend = new AppendTemplate();

  constructor(settings: YapSettings) {
    this.#settings = settings;
  }

  decode(data: Buffer, isBinary: boolean): ClientCommand {
    if (isBinary) throw new VoiceError('binary_not_supported');
    return this.#decodeLikeLast(data) ?? this.#decodeAny(data);
  }

  #decodeLikeLast(data: Buffer): ClientCommand | undefined {
    const audio = this.#lastAppend.match(data);
    if (audio === undefined) return undefined;
    try {
      const pcm = decodePcm(audio);
      this.#seen = this.#lastAppend.ids;
      return { kind: 'audio', utteranceId: this.#seen.request_id, pcm };
    } catch {
      // Not base64: parsing tells what it is.
      return undefined;
    }
  }

  #decodeAny(data: Buffer): ClientCommand {
    const envelope = parseEnvelope(data);
    // The ids alone: the envelope would keep its audio in memory until the next message.
    this.#seen = { session_id: envelope.session_id, request_id: envelope.request_id };
    const payload = envelope.payload ?? {};
    const type = envelope.type as YapClientType;
    switch (type) {
      case 'input_audio_buffer.append': {
        const { audio } = payload;
        const pcm = decodePcm(audio);
        this.#lastAppend.learn(data, this.#seen, String(audio));
        return { kind: 'audio', utteranceId: envelope.request_id, pcm };
      }
      case 'input_audio_buffer.commit':
        if (payload['final']) return { kind: 'finalize', utteranceId: envelope.request_id };
        this.#utterance = this.#seen;
        this.wishes.utterance(payload);
        return { kind: 'start', utteranceId: envelope.request_id };
      case 'session.update':
        this.wishes.session(payload);
        return { kind: 'configure', model: text(payload['model']) };
      case 'cancel':
        return {
          kind: 'cancel',
          reason: text(payload['reason'])?.slice(0, MAX_REASON_CHARS) ?? 'client_request',
        };
      case 'ping':
        return { kind: 'ping' };
      case 'pong':
        return { kind: 'ignore' };
      case 'end':
        return { kind: 'end' };
      default:
        throw new VoiceError('unknown_message_type', {
          message: `Unknown message type. Known types: ${YAP_CLIENT_TYPES.join(', ')}.`,
        });
    }
  }

  encode(event: SessionEvent): readonly string[] {
    switch (event.kind) {
      case 'queued': {
        const { position, estimateMs } = event;
        const estimate = estimateMs === undefined ? {} : { estimate_s: estimateMs / 1000 };
        return [this.#status({ kind: 'queued', position, ...estimate })];
      }
      case 'created': {
        const payload = { ...facts(event.session), ...(event.resume && offer(event.resume)) };
        const { id } = event.session;
        return [frame({ type: 'session.created', session_id: id, request_id: 'unknown', payload })];
      }
      case 'resumed': {
        const { session, resume, from } = event;
        const open = from && {
          open: { request_id: from.utteranceId, from_sample: from.fromSample },
        };
        const payload = { ...facts(session), ...offer(resume), ...open };
        const ids = { session_id: session.id, request_id: from?.utteranceId ?? 'unknown' };
        return [frame({ type: 'session.resumed', ...ids, payload })];
      }
      case 'configured':
        return [frame({ type: 'session.updated', ...this.#ids(), payload: facts(event.session) })];
      case 'ack': {
        const { acceptedSample: accepted_samples, keep } = event;
        const from = keep && { keep_from_sample: keep.fromSample };
        const payload = { accepted_samples, ...from };
        return [frame({ type: 'ack', ...this.#ids(keep?.utteranceId), payload })];
      }
      case 'warning': {
        const { limit, used, max } = event;
        return [this.#status({ kind: 'limit_warning', limit, used, max })];
      }
      case 'shutdown':
        return [this.#status({ kind: 'shutdown', grace_s: event.graceMs / 1000 })];
      case 'partial':
        if (event.text === '') return [];
        return [
          frame({ type: 'token', ...this.#ids(event.utteranceId), payload: { text: event.text } }),
        ];
      case 'final': {
        const ids = this.#ids(event.utteranceId);
        const { promptTokens, completionTokens } = event.usage;
        const usage = {
          prompt_tokens: promptTokens,
          completion_tokens: completionTokens,
          total_tokens: promptTokens + completionTokens,
        };
        return [
          frame({ type: 'final', ...ids, payload: { normalized_text: event.text } }),
          frame({ type: 'done', ...ids, payload: { usage } }),
        ];
      }
      case 'dropped': {
        const payload = {
          kind: 'overload_drop' as const,
          dropped_seconds: event.samples / SAMPLE_RATE,
          max_backlog_seconds: event.maxBacklogSamples / SAMPLE_RATE,
          source: event.source,
        };
        return [frame({ type: 'status', ...this.#ids(event.utteranceId), payload })];
      }
      case 'error': {
        const { code, message, details } = event.error;
        const ids = this.#ids(event.utteranceId);
        const reason_code = code === 'at_capacity' ? 'server_at_capacity' : code;
        const payload = {
          code: YAP_ERROR_CODES[code] ?? 'internal_error',
          message,
          details: { reason_code, ...details },
        };
        return [frame({ type: 'error', ...ids, payload })];
      }
      case 'cancelled':
        return [frame({ type: 'cancelled', ...this.#ids(), payload: { reason: event.reason } })];
      case 'pong':
        return [frame({ type: 'pong', ...this.#ids(), payload: {} })];
      case 'report': {
        const payload = event.report;
        return [frame({ type: 'session.report', ...this.#ids(), payload })];
      }
      case 'ended':
        return [frame({ type: 'session_end', ...this.#ids(), payload: {} })];
      default:
        // Events of the voice pipeline.
        return [];
    }
  }

  close(reason: CloseReason): { code: number; reason: string } {
    const { busyCode, unauthorizedCode, idleReason } = this.#settings;
    switch (reason.kind) {
      case 'ended':
      case 'gone':
        return { code: 1000, reason: '' };
      case 'idle':
        return { code: 4000, reason: idleReason };
      case 'max-duration':
        return { code: 4003, reason: 'max connection duration reached' };
      case 'resumed-elsewhere':
        return { code: 4005, reason: 'resumed on another connection' };
      case 'shutdown':
        return { code: 1012, reason: 'shutting down, reconnect' };
      case 'unresponsive':
        return { code: busyCode, reason: 'no answer to ping' };
      case 'slow-reader':
        return { code: busyCode, reason: 'client reads too slowly' };
      case 'error':
        switch (reason.error.code) {
          case 'authentication_failed':
          case 'key_revoked':
          case 'scope_missing':
          case 'audio_quota_exhausted':
            return { code: unauthorizedCode, reason: reason.error.message };
          case 'resume_refused':
            return { code: 4006, reason: reason.error.message };
          case 'too_many_sessions':
          case 'session_rate_limited':
          case 'at_capacity':
          case 'fleet_unavailable':
          case 'inbound_queue_full':
            return { code: busyCode, reason: reason.error.message };
          default:
            return { code: 1011, reason: reason.error.message };
        }
    }
  }

  numbered(frame: string, seq: number): string {
    return `{"seq":${seq},${frame.slice(1)}`;
  }

  memory(): unknown {
    return { seen: this.#seen, utterance: this.#utterance };
  }

  recall(memory: unknown): void {
    const { seen, utterance } = YapMemory.parse(memory);
    this.#seen = seen;
    this.#utterance = utterance;
  }

  #status(payload: Extract<YapServerFrame, { type: 'status' }>['payload']): string {
    return frame({ type: 'status', ...this.#ids(), payload });
  }

  /** Ids of the named utterance, else those of the last message. It need not be the one last started: that start may have been refused. */
  #ids(utteranceId?: string): Ids {
    if (utteranceId === undefined) return this.#seen;
    if (this.#utterance?.request_id === utteranceId) return this.#utterance;
    return { session_id: this.#seen.session_id, request_id: utteranceId };
  }
}

function frame(value: YapServerFrame): string {
  return JSON.stringify(value);
}

function facts({ id, createdAtS, model }: SessionInfo) {
  return { id, created: createdAtS, model };
}

function offer({ token, ttlMs }: ResumeOffer) {
  return { resume: { token, ttl_s: ttlMs / 1000 } };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}

function parseEnvelope(data: Buffer): YapEnvelope {
  const value = parseFlat(data);
  const result = YapEnvelope.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new VoiceError('invalid_message', {
    message: `The message is not a valid envelope: ${issue?.path.join('.') || 'message'}: ${issue?.message ?? 'invalid'}.`,
  });
}
