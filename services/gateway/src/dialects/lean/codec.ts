import { randomUUID } from 'node:crypto';
import { type ErrorCode, VoiceError } from '@voice-fleet/protocol/errors';
import {
  LEAN_PROTOCOL_VERSION,
  LeanClientFrame,
  type LeanErrorCode,
  type LeanServerFrame,
  MAX_LEAN_FRAME_BYTES,
} from '@voice-fleet/protocol/lean';
import type { ClientCommand, CloseReason, SessionEvent } from '@voice-fleet/protocol/session';
import type { DialectCodec } from '../dialect.ts';

/** What clients of this protocol call our errors; all others are INTERNAL, or BAD_FRAME when the client made them. */
const LEAN_ERROR_CODES: Partial<Record<ErrorCode, LeanErrorCode>> = {
  invalid_message: 'BAD_JSON',
  unknown_message_type: 'UNKNOWN_TYPE',
  engine_failed: 'ASR_FAIL',
  worker_lost: 'ASR_FAIL',
  worker_unavailable: 'ASR_FAIL',
  asr_timeout: 'ASR_TIMEOUT',
  authentication_failed: 'UNAUTHORIZED',
  key_revoked: 'UNAUTHORIZED',
  scope_missing: 'UNAUTHORIZED',
  at_capacity: 'AT_CAPACITY',
  fleet_unavailable: 'AT_CAPACITY',
  inbound_queue_full: 'AT_CAPACITY',
  too_many_sessions: 'LIMIT_REACHED',
  session_rate_limited: 'LIMIT_REACHED',
  audio_quota_exhausted: 'LIMIT_REACHED',
  message_rate_limited: 'LIMIT_REACHED',
  cancel_rate_limited: 'LIMIT_REACHED',
  model_load_failed: 'MODEL_LOAD_FAIL',
};

const TYPES = LeanClientFrame.options.map((option) => option.shape.type.value);

/** The lean protocol: see packages/protocol/src/lean.ts. It remembers nothing between frames. */
export class LeanCodec implements DialectCodec {
  decode(data: Buffer, isBinary: boolean): ClientCommand {
    if (isBinary) return { kind: 'audio', utteranceId: undefined, pcm: decodePcm(data) };
    const value = parseObject(data);
    if (!TYPES.some((type) => type === value['type'])) {
      throw new VoiceError('unknown_message_type', {
        message: `Unknown message type. Known types: ${TYPES.join(', ')}.`,
      });
    }
    const result = LeanClientFrame.safeParse(value);
    if (!result.success) {
      throw new VoiceError('invalid_message', {
        message: `The message is not valid: ${result.error.issues[0]?.path.join('.')}.`,
      });
    }
    const frame = result.data;
    switch (frame.type) {
      case 'start': {
        const rate = frame.sample_rate;
        const voice = { mode: 'transcribe', endpointing: true } as const;
        const sampleRate = rate === undefined ? {} : { sampleRate: rate };
        return { kind: 'start', utteranceId: '', voice: { ...voice, ...sampleRate } };
      }
      case 'stop':
        return { kind: 'finalize', utteranceId: undefined };
    }
  }

  encode(event: SessionEvent): readonly string[] {
    return framesOf(event).map((frame) => JSON.stringify(frame));
  }

  close(reason: CloseReason): { readonly code: number; readonly reason: string } {
    switch (reason.kind) {
      case 'ended':
      case 'gone':
        return { code: 1000, reason: 'Session complete' };
      case 'idle':
        return { code: 4000, reason: 'idle_timeout' };
      case 'max-duration':
        return { code: 4003, reason: 'max connection duration reached' };
      case 'shutdown':
      case 'resumed-elsewhere':
        return { code: 1001, reason: 'server shutting down' };
      case 'slow-reader':
      case 'unresponsive':
        return { code: 1008, reason: reason.kind };
      case 'error':
        return errorClose(reason.error);
    }
  }
}

function framesOf(event: SessionEvent): readonly LeanServerFrame[] {
  switch (event.kind) {
    case 'created':
      return [
        { type: 'protocol', version: LEAN_PROTOCOL_VERSION },
        { type: 'info', message: 'Connected', session_id: event.session.id },
      ];
    case 'queued':
      return [
        {
          type: 'info',
          code: 'QUEUED',
          message: `All slots are taken; you are number ${event.position}.`,
        },
      ];
    case 'started':
      return [{ type: 'info', code: 'STARTED', message: 'Send audio.' }];
    case 'transcript':
      return [{ type: 'partial_transcript', text: event.text }];
    case 'finalizing':
      return [{ type: 'finalize_pending', reason: event.reason }];
    case 'provisional':
      return [final(event.text, `${event.utteranceId}_${randomUUID()}`, true)];
    case 'final':
      return [final(event.text, event.utteranceId, false)];
    case 'marks': {
      const { t0, t1, t2 } = event.marks;
      return [{ type: 'metrics', event: 'latency', t0, t1, t2 }];
    }
    case 'notice':
      if (event.code !== 'complete') return [];
      return [{ type: 'info', code: 'COMPLETE', message: event.message }];
    case 'dropped':
      return [
        { type: 'info', code: 'DROPPED', message: 'The engine fell behind; audio was left out.' },
      ];
    case 'warning':
      return [
        { type: 'info', code: 'LIMIT_WARNING', message: `Nearly at the limit of ${event.limit}.` },
      ];
    case 'shutdown':
      return [
        {
          type: 'info',
          code: 'SHUTDOWN',
          message: 'This server is going away.',
          reason: 'shutdown',
        },
      ];
    case 'debug':
      return [{ ...event.facts, type: 'debug', event: event.event } as LeanServerFrame];
    case 'error':
      return [errorFrame(event.error)];
    default:
      // What this protocol has no word for.
      return [];
  }
}

function final(text: string, id: string, provisional: boolean): LeanServerFrame {
  return { type: 'final_transcript', text, id, provisional };
}

function errorFrame({ code, tier, message }: VoiceError): LeanServerFrame {
  const fallback = tier === 'client_mistake' ? 'BAD_FRAME' : 'INTERNAL';
  return {
    type: 'error',
    code: LEAN_ERROR_CODES[code] ?? fallback,
    message,
    // A connection is one utterance: whatever ends that ends it.
    recoverable: tier === 'client_mistake',
  };
}

function errorClose({ code, status, message }: VoiceError): { code: number; reason: string } {
  if (status === 401 || status === 403) return { code: 1008, reason: message };
  if (status === 503 || status === 429) return { code: 1013, reason: message };
  return { code: code === 'internal' ? 1011 : 1008, reason: message };
}

function decodePcm(data: Buffer): Buffer {
  if (data.length > MAX_LEAN_FRAME_BYTES) {
    throw new VoiceError('message_too_large', { details: { max_bytes: MAX_LEAN_FRAME_BYTES } });
  }
  if (data.length % 2 === 1) {
    throw new VoiceError('invalid_audio', {
      message: 'Audio must be PCM16 little-endian mono at 16 kHz (an even number of bytes).',
    });
  }
  return data;
}

function parseObject(data: Buffer): Readonly<Record<string, unknown>> {
  const bad = (): VoiceError =>
    new VoiceError('invalid_message', { message: 'A text frame must be a JSON object.' });
  if (data.length > MAX_LEAN_FRAME_BYTES) throw bad();
  let value: unknown;
  try {
    value = JSON.parse(data.toString());
  } catch {
    throw bad();
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad();
  return value as Record<string, unknown>;
}
