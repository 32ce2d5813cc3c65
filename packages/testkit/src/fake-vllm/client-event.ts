import { VllmClientEvent, type VllmErrorCode } from '@voice-fleet/protocol/vllm-realtime';
import { decodePcm, decodeStrict } from './base64.ts';

/** What a text frame asks for, or why it is refused. */
export type ClientEvent =
  | { readonly kind: 'audio'; readonly pcm: Buffer }
  | { readonly kind: 'model'; readonly model: unknown }
  /** A `fault` is told only where a commit would be taken at all. */
  | {
      readonly kind: 'commit';
      readonly final: boolean;
      readonly fault?: string;
      readonly traceparent?: string | undefined;
    }
  | { readonly kind: 'refused'; readonly code: VllmErrorCode; readonly message: string };

/** How JavaScript's and Python's clients begin an append. */
const HEADS = [
  '{"type":"input_audio_buffer.append","audio":"',
  '{"type": "input_audio_buffer.append", "audio": "',
].map((head) => Buffer.from(head));
const TAIL = Buffer.from('"}');

const INVALID_AUDIO: ClientEvent = {
  kind: 'refused',
  code: 'invalid_audio',
  message: 'Invalid audio data',
};
/** What vLLM's model of a commit takes for true and false, in small letters. */
const YES: readonly unknown[] = [true, 1, '1', 'true', 't', 'yes', 'y', 'on'];
const NO: readonly unknown[] = [undefined, false, 0, '0', 'false', 'f', 'no', 'n', 'off'];

/** Understands one text frame with the leniency of vLLM. `maxSamples` is the most that one append may hold. */
export function decodeClientEvent(data: Buffer, maxSamples: number): ClientEvent {
  const quick = decodeUsualAppend(data);
  if (quick !== undefined) return audio(quick, maxSamples);
  let value: unknown;
  try {
    value = JSON.parse(data.toString());
  } catch {
    return { kind: 'refused', code: 'invalid_json', message: 'Invalid JSON' };
  }
  const event = VllmClientEvent.safeParse(value);
  if (!event.success) return decodeOdd(value, maxSamples);
  switch (event.data.type) {
    case 'session.update':
      return { kind: 'model', model: event.data.model };
    case 'input_audio_buffer.append':
      return audio(decodePcm(event.data.audio), maxSamples);
    case 'input_audio_buffer.commit':
      return {
        kind: 'commit',
        final: event.data.final ?? false,
        ...(event.data.traceparent !== undefined && { traceparent: event.data.traceparent }),
      };
  }
}

/** Nearly every frame is one: its bytes are compared, not parsed. Strict base64 holds no quote and no escape. */
function decodeUsualAppend(data: Buffer): Buffer | undefined {
  const end = data.length - TAIL.length;
  for (const head of HEADS) {
    if (end <= head.length || data.compare(head, 0, head.length, 0, head.length) !== 0) continue;
    if (data.compare(TAIL, 0, TAIL.length, end) !== 0) return undefined;
    const pcm = decodeStrict(data.toString('latin1', head.length, end));
    return pcm !== undefined && pcm.length % 2 === 0 ? pcm : undefined;
  }
  return undefined;
}

function audio(pcm: Buffer | undefined, maxSamples: number): ClientEvent {
  if (pcm === undefined || pcm.length / 2 > maxSamples) return INVALID_AUDIO;
  return { kind: 'audio', pcm };
}

/** What the schema refuses: vLLM takes some of it, and has an error of its own for each of the rest. */
function decodeOdd(value: unknown, maxSamples: number): ClientEvent {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return processingError(`'${pythonTypeOf(value)}' object has no attribute 'get'`);
  const { type, ...fields } = value as Readonly<Record<string, unknown>>;
  switch (type) {
    case 'session.update':
      return { kind: 'model', model: fields['model'] };
    case 'input_audio_buffer.append':
      if ('audio' in fields) return audio(undefined, maxSamples);
      return processingError(fieldError('InputAudioBufferAppend', 'audio', 'Field required'));
    case 'input_audio_buffer.commit':
      return oddCommit(fields['final']);
    default: {
      const shown = type === undefined || type === null ? 'None' : String(type);
      return {
        kind: 'refused',
        code: 'unknown_event',
        message: `Unknown event type: ${shown}`,
      };
    }
  }
}

function oddCommit(final: unknown): ClientEvent {
  const word = typeof final === 'string' ? final.toLowerCase() : final;
  if (YES.includes(word)) return { kind: 'commit', final: true };
  if (NO.includes(word)) return { kind: 'commit', final: false };
  const fault = fieldError('InputAudioBufferCommit', 'final', 'Input should be a valid boolean');
  return { kind: 'commit', final: false, fault };
}

function processingError(message: string): ClientEvent {
  return { kind: 'refused', code: 'processing_error', message };
}

function fieldError(model: string, field: string, what: string): string {
  return `1 validation error for ${model}\n${field}\n  ${what}`;
}

function pythonTypeOf(value: unknown): string {
  if (value === null) return 'NoneType';
  if (Array.isArray(value)) return 'list';
  if (typeof value === 'string') return 'str';
  if (typeof value === 'boolean') return 'bool';
  return Number.isInteger(value) ? 'int' : 'float';
}
