import { writeWav } from '@voice-fleet/speech/wav';
import { speak } from '@voice-fleet/testkit/coded-speech';
import { type Fleet, KEY } from './fleet.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

/** What is wrong, of an answer that is an error: its code and message. */
export function faultOf({ body }: Answer): { code: string; message: string; details: object } {
  return body['error'] as { code: string; message: string; details: object };
}

/** A WAV file in which these words are spoken. */
export function wav(words: readonly number[], sampleRate = 16_000): Buffer {
  return writeWav(speak(words), sampleRate);
}

/** A form with the recording as its file, as browsers and curl send it. */
export function form(recording: Buffer, part = 'file', type = 'audio/wav'): FormData {
  const body = new FormData();
  body.append('language', 'en');
  body.append(part, new Blob([new Uint8Array(recording)], { type }), 'speech.wav');
  return body;
}

interface PostOptions {
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
  readonly gateway?: number;
}

/** Posts a recording, as a form or as it is. */
export async function post(
  fleet: Fleet,
  path: string,
  body: FormData | Buffer,
  { headers = { 'X-API-Key': KEY }, signal, gateway = 0 }: PostOptions = {},
): Promise<Answer> {
  const isForm = body instanceof FormData;
  const response = await fetch(`http://127.0.0.1:${fleet.gateways[gateway]?.port}${path}`, {
    method: 'POST',
    body: isForm ? body : new Uint8Array(body),
    headers: isForm ? headers : { 'Content-Type': 'audio/wav', ...headers },
    ...(signal && { signal }),
  });
  const { status } = response;
  return { status, headers: response.headers, body: (await response.json()) as Answer['body'] };
}
