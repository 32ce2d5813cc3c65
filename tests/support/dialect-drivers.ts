import { frames } from '@voice-fleet/testkit/coded-speech';
import type { JsonFrame, JsonSocket } from './json-socket.ts';

/** How a client of one dialect does what clients of all of them do. Absent: its protocol has no such thing. */
export interface DialectDriver {
  readonly name: string;
  /** It is spoken by the lean gateway, and by nothing else. */
  readonly lean?: true;
  /** Path and query; the key is carried as its clients do. */
  readonly path: string;
  readonly carries: (key: string) => { readonly query?: string; readonly authorization?: string };
  /** Type of the frame that greets. */
  readonly greeting?: string;
  /** Begins an utterance that its client ends, or its speaker's silence. */
  readonly begin?: (endpointing: boolean) => readonly object[];
  /** Query with which silence ends utterances, where that is said there. */
  readonly endpointingQuery?: string;
  readonly audio: (pcm: Buffer) => object | Buffer;
  /** Its client ends an utterance: the frame, and what that is called. */
  readonly end: object;
  readonly endName: string;
  readonly endpoints: boolean;
  readonly partial: (frame: JsonFrame) => string | undefined;
  readonly final: (frame: JsonFrame) => string | undefined;
  readonly cancel?: { readonly frame: object; readonly name: string; readonly answer: string };
  /** Its client is done. */
  readonly bye?: { readonly frame: object; readonly name: string };
}

/** What was received of a driver's dialect, as texts. */
export function told(driver: DialectDriver, which: 'partial' | 'final', socket: JsonSocket) {
  return socket.frames.flatMap((frame) => {
    const text = driver[which](frame);
    return text === undefined || text.trim() === '' ? [] : [{ type: frame.type, text }];
  });
}

export function sendAudio(driver: DialectDriver, socket: JsonSocket, pcm: Buffer): void {
  for (const part of frames(pcm)) socket.send(driver.audio(part));
}

type Json = Readonly<Record<string, unknown>>;

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const inQuery = (key: string) => ({ query: `api_key=${key}` });
const base64 = (pcm: Buffer): string => pcm.toString('base64');
const field = (type: string, name: string) => (frame: JsonFrame) =>
  frame.type === type ? String(frame[name]) : undefined;
const payload = (type: string, name: string) => (frame: JsonFrame) =>
  frame.type === type ? String((frame['payload'] as Json)[name]) : undefined;
const yap = (type: string, body: object = {}) => ({
  type,
  session_id: 's',
  request_id: 'r',
  payload: body,
});
const results = (isFinal: boolean) => (frame: JsonFrame) => {
  if (frame.type !== 'Results' || frame['is_final'] !== isFinal) return undefined;
  const { alternatives } = frame['channel'] as { alternatives: { transcript: string }[] };
  return alternatives[0]?.transcript;
};
const turn = (event: string) => (frame: JsonFrame) =>
  frame.type === 'TurnInfo' && frame['event'] === event ? String(frame['transcript']) : undefined;
const append = (type: string) => (pcm: Buffer) => ({ type, audio: base64(pcm) });
const DEEPGRAM = 'encoding=linear16&sample_rate=16000';
const TRANSCRIPTION = 'conversation.item.input_audio_transcription';

/** Those of `/ws`, here and at the lean gateway. */
const SPOKEN = {
  carries: inQuery,
  greeting: 'info',
  audio: (pcm: Buffer) => pcm,
  end: { type: 'stop' },
  endName: 'stop',
  endpoints: true,
  partial: field('partial_transcript', 'text'),
};

export const DRIVERS: readonly DialectDriver[] = [
  {
    name: 'yap',
    path: '/api/asr-streaming',
    carries: inQuery,
    greeting: 'session.created',
    begin: () => [yap('input_audio_buffer.commit', { final: false })],
    audio: (pcm) => yap('input_audio_buffer.append', { audio: base64(pcm) }),
    end: yap('input_audio_buffer.commit', { final: true }),
    endName: 'commit, final',
    endpoints: false,
    partial: payload('token', 'text'),
    final: payload('final', 'normalized_text'),
    cancel: { frame: yap('cancel'), name: 'cancel', answer: 'cancelled' },
    bye: { frame: yap('end'), name: 'end' },
  },
  {
    name: 'voice',
    path: '/ws',
    ...SPOKEN,
    begin: (endpointing) => [
      { type: 'start', sample_rate: 16_000, mode: 'transcribe', endpointing },
    ],
    final: field('final_transcript', 'text'),
    cancel: { frame: { type: 'cancel' }, name: 'cancel', answer: 'error' },
  },
  {
    name: 'lean',
    lean: true,
    path: '/ws',
    ...SPOKEN,
    begin: () => [{ type: 'start', sample_rate: 16_000 }],
    final: (frame) =>
      frame.type === 'final_transcript' && frame['provisional'] === false
        ? String(frame['text'])
        : undefined,
  },
  {
    name: 'openai',
    path: '/v1/realtime?intent=transcription',
    carries: bearer,
    greeting: 'session.created',
    begin: (endpointing) => {
      const turn_detection = endpointing ? { type: 'server_vad', silence_duration_ms: 500 } : null;
      const input = { format: { type: 'audio/pcm', rate: 16_000 }, turn_detection };
      return [{ type: 'session.update', session: { type: 'transcription', audio: { input } } }];
    },
    audio: append('input_audio_buffer.append'),
    end: { type: 'input_audio_buffer.commit' },
    endName: 'commit',
    endpoints: true,
    partial: field(`${TRANSCRIPTION}.delta`, 'delta'),
    final: field(`${TRANSCRIPTION}.completed`, 'transcript'),
    cancel: {
      frame: { type: 'input_audio_buffer.clear' },
      name: 'clear',
      answer: 'input_audio_buffer.cleared',
    },
  },
  {
    name: 'vllm',
    path: '/v1/realtime?dialect=vllm',
    carries: bearer,
    greeting: 'session.created',
    begin: () => [
      { type: 'session.update', model: 'scripted-model' },
      { type: 'input_audio_buffer.commit' },
    ],
    audio: append('input_audio_buffer.append'),
    end: { type: 'input_audio_buffer.commit', final: true },
    endName: 'commit, final',
    endpoints: false,
    partial: field('transcription.delta', 'delta'),
    final: field('transcription.done', 'text'),
  },
  {
    name: 'deepgram',
    path: `/v1/listen?${DEEPGRAM}&interim_results=true`,
    carries: (key) => ({ authorization: `Token ${key}` }),
    endpointingQuery: 'endpointing=500',
    audio: (pcm) => pcm,
    end: { type: 'Finalize' },
    endName: 'Finalize',
    endpoints: true,
    partial: results(false),
    final: results(true),
    bye: { frame: { type: 'CloseStream' }, name: 'CloseStream' },
  },
  {
    name: 'flux',
    path: `/v2/listen?${DEEPGRAM}&model=flux-general-en`,
    carries: (key) => ({ authorization: `Token ${key}` }),
    greeting: 'Connected',
    audio: (pcm) => pcm,
    end: { type: 'ForceEndTurn' },
    endName: 'ForceEndTurn',
    endpoints: true,
    partial: turn('Update'),
    final: turn('EndOfTurn'),
    bye: { frame: { type: 'CloseStream' }, name: 'CloseStream' },
  },
  {
    name: 'mistral',
    path: '/v1/audio/transcriptions/realtime',
    carries: bearer,
    greeting: 'session.created',
    audio: append('input_audio.append'),
    end: { type: 'input_audio.flush' },
    endName: 'flush',
    endpoints: false,
    partial: field('transcription.text.delta', 'text'),
    final: field('transcription.done', 'text'),
    bye: { frame: { type: 'input_audio.end' }, name: 'end' },
  },
];
