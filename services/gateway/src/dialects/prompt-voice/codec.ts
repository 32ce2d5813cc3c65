import { type ErrorCode, VoiceError } from '@voice-fleet/protocol/errors';
import {
  MAX_VOICE_FRAME_BYTES,
  VOICE_CLIENT_TYPES,
  VOICE_PROTOCOL_VERSION,
  VoiceClientFrame,
  type VoiceErrorCode,
  type VoiceServerFrame,
} from '@voice-fleet/protocol/prompt-voice';
import type {
  ClientCommand,
  CloseReason,
  NoticeCode,
  SessionEvent,
} from '@voice-fleet/protocol/session';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { deltas } from '../../voice/latency.ts';
import { ClientWishes } from '../client-wishes.ts';
import type { DialectCodec } from '../dialect.ts';
import { parseFlat } from '../flat-json.ts';

/** What is said of our errors; all that is not here is INTERNAL. */
const ERROR_CODES: Partial<Record<ErrorCode, VoiceErrorCode>> = {
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
  protocol_violation: 'PROTOCOL_VIOLATION',
  unsupported_sample_rate: 'UNSUPPORTED_SAMPLE_RATE',
  invalid_audio: 'BAD_FRAME',
  not_started: 'NOT_STARTED',
  invalid_message: 'BAD_JSON',
  unknown_message_type: 'UNKNOWN_TYPE',
  streaming_disabled: 'STREAMING_DISABLED',
  model_load_failed: 'MODEL_LOAD_FAIL',
  max_duration_exceeded: 'MAX_DURATION_EXCEEDED',
  engine_failed: 'ASR_FAIL',
  worker_lost: 'ASR_FAIL',
  worker_unavailable: 'ASR_FAIL',
  asr_timeout: 'ASR_TIMEOUT',
  cancelled: 'CANCELLED',
  llm_timeout: 'LLM_TIMEOUT',
  llm_failed: 'LLM_FAIL',
  tts_timeout: 'TTS_TIMEOUT',
  tts_failed: 'TTS_FAIL',
};

const NOTICE_CODES: Record<NoticeCode, string> = {
  backpressure_on: 'BACKPRESSURE',
  backpressure_off: 'BACKPRESSURE',
  phrase_dropped: 'BACKPRESSURE',
  rtf_advisory: 'RTF_ADVISORY',
  barge_in: 'BARGE_IN',
  complete: 'COMPLETE',
};

/** JSON text frames and binary audio on `/ws`. It remembers nothing but what its client wants to be known. */
export class PromptVoiceCodec implements DialectCodec {
  readonly wishes = new ClientWishes();

  decode(data: Buffer, isBinary: boolean): ClientCommand {
    if (data.length > MAX_VOICE_FRAME_BYTES) {
      throw new VoiceError('protocol_violation', {
        message: `A frame may have ${MAX_VOICE_FRAME_BYTES} bytes at the most.`,
      });
    }
    if (!isBinary) {
      const frame = parse(data);
      if (frame.type === 'start') this.wishes.utterance(frame);
      return command(frame);
    }
    if (data.length % 2 !== 0) {
      throw new VoiceError('invalid_audio', {
        message: 'Audio must be PCM16: an even number of bytes.',
      });
    }
    return { kind: 'audio', utteranceId: undefined, pcm: data };
  }

  encode(event: SessionEvent): readonly string[] {
    const encoded = frameOf(event);
    return encoded === undefined ? [] : [JSON.stringify(encoded)];
  }

  close(reason: CloseReason): { code: number; reason: string } {
    switch (reason.kind) {
      case 'ended':
      case 'gone':
        return { code: 1000, reason: '' };
      case 'idle':
        return { code: 4000, reason: 'idle_timeout' };
      case 'max-duration':
        return { code: 4003, reason: 'max connection duration reached' };
      case 'shutdown':
      case 'resumed-elsewhere':
        return { code: 1012, reason: 'shutting down, reconnect' };
      case 'unresponsive':
        return { code: 1013, reason: 'no answer to ping' };
      case 'slow-reader':
        return { code: 1013, reason: 'client reads too slowly' };
      case 'error':
        return { code: closeCode(reason.error.code), reason: reason.error.message };
    }
  }
}

function closeCode(code: ErrorCode): number {
  if (code === 'endpoint_deprecated') return 1000;
  switch (ERROR_CODES[code]) {
    case 'UNAUTHORIZED':
    case 'LIMIT_REACHED':
    case 'PROTOCOL_VIOLATION':
    case 'BAD_JSON':
      return 1008;
    case 'AT_CAPACITY':
    case 'STREAMING_DISABLED':
      return 1013;
    default:
      return 1011;
  }
}

function parse(data: Buffer): VoiceClientFrame {
  const value = parseFlat(data);
  const result = VoiceClientFrame.safeParse(value);
  if (result.success) return result.data;
  const type = (value as { type?: unknown } | null)?.type;
  if (typeof type === 'string' && !VOICE_CLIENT_TYPES.includes(type)) {
    throw new VoiceError('unknown_message_type', {
      message: `Unknown message type. Known types: ${VOICE_CLIENT_TYPES.join(', ')}.`,
    });
  }
  const issue = result.error.issues[0];
  throw new VoiceError('invalid_message', {
    message: `The message is not valid: ${issue?.path.join('.') || 'message'}: ${issue?.message ?? 'invalid'}.`,
  });
}

function command(frame: VoiceClientFrame): ClientCommand {
  switch (frame.type) {
    case 'start': {
      const { sample_rate, mode = 'voice', endpointing = true } = frame;
      const { unit, voice, language, reply_mode, chunk_size_words } = frame;
      return {
        kind: 'start',
        utteranceId: '',
        voice: {
          mode,
          endpointing,
          ...(sample_rate !== undefined && { sampleRate: sample_rate }),
          speech: {
            ...(unit && { unit }),
            ...(voice && { voice }),
            ...(language && { language }),
          },
          reply: {
            ...(reply_mode && { mode: reply_mode }),
            ...(chunk_size_words && { chunk_size_words }),
          },
        },
      };
    }
    case 'stop':
      return { kind: 'finalize', utteranceId: undefined };
    case 'cancel':
      return { kind: 'cancel', reason: 'client_request' };
    case 'ping':
      return { kind: 'ping' };
    case 'end':
      return { kind: 'end' };
  }
}

function frameOf(event: SessionEvent): VoiceServerFrame | undefined {
  switch (event.kind) {
    case 'created':
      return { type: 'info', message: 'connected', session_id: event.session.id };
    case 'started':
      return { type: 'protocol', version: VOICE_PROTOCOL_VERSION };
    case 'transcript':
      return { type: 'partial_transcript', text: event.text };
    case 'finalizing':
      return { type: 'finalize_pending', reason: event.reason };
    case 'final':
      return { type: 'final_transcript', text: event.text, id: event.utteranceId };
    case 'token':
      if (event.done) return { type: 'llm_token', done: true };
      return { type: 'llm_token', text: event.text, done: false };
    case 'speech':
      return { type: 'tts_chunk', seq: event.seq, audio_b64: event.audio, mime: 'audio/wav' };
    case 'phrase-done':
      return { type: 'tts_phrase_done', seq: event.seq };
    case 'speech-complete':
      return { type: 'tts_complete' };
    case 'chunk':
      return { type: 'text_chunk', ...event.chunk };
    case 'marks':
      return { type: 'metrics', event: 'latency', ...event.marks, ...deltas(event.marks) };
    case 'decode':
      return { type: 'metrics', event: 'decode', runs: event.runs, ms: event.ms };
    case 'pong':
      return { type: 'pong' };
    case 'report':
      return { type: 'session.report', ...event.report };
    case 'error':
      return told(event.error);
    default:
      return info(event);
  }
}

/** What a client may want to know of its session. */
function info(event: SessionEvent): VoiceServerFrame | undefined {
  const say = (code: string, message: string, more: { active?: boolean; reason?: string } = {}) =>
    ({ type: 'info', code, message, ...more }) as const;
  switch (event.kind) {
    case 'queued':
      return say('QUEUED', `All slots are taken; you are number ${event.position} in line.`);
    case 'warning':
      return say('LIMIT_WARNING', `${event.limit}: ${event.used} of ${event.max} used.`);
    case 'dropped':
      return say(
        'DROPPED',
        `${event.samples / SAMPLE_RATE} s of audio were left out: they came too fast.`,
      );
    case 'shutdown':
      return say('SHUTDOWN', 'This server goes away; connect again.', { reason: 'shutdown' });
    case 'notice': {
      const { code, message } = event;
      const active = code === 'backpressure_on';
      const tells = active || code === 'backpressure_off';
      return say(NOTICE_CODES[code], message, tells ? { active } : {});
    }
    default:
      return undefined;
  }
}

function told({ code, message, tier }: VoiceError): VoiceServerFrame {
  if (code === 'endpoint_deprecated') return { type: 'info', code: 'DEPRECATED', message };
  const recoverable = tier !== 'fatal';
  return { type: 'error', code: ERROR_CODES[code] ?? 'INTERNAL', message, recoverable };
}
