import { VoiceError } from '@voice-fleet/protocol/errors';
import { z } from 'zod';
import type { Phrase, SpeechAudio, TtsEngine } from './engine.ts';
import { speechFromPcm, speechFromWav } from './speech-audio.ts';
import type { SpeechServer } from './tts-env.ts';

/** More than a minute of 48 kHz: no phrase is that long. */
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_ERROR_BYTES = 64 * 1024;
/** Of what it says, for the log. */
const MAX_ERROR_CHARACTERS = 500;
/** What a server says of a voice that it does not have. */
const UNKNOWN_VOICE_STATUS = [400, 404, 422];
const MAX_UNKNOWN_VOICES = 100;
/** Sizes from here on are no sizes: writers that stream put the largest numbers there. */
const ABSURD_SIZE = 0x4000_0000;
const WORD = /[\p{L}\p{M}\p{N}]+/gu;
const VOICE = /^[\w.:-]{1,100}$/u;

/** A server that speaks OpenAI's `/audio/speech`: OpenAI itself, vLLM-Omni, and others that are like it more or less. */
export class OpenAiSpeech implements TtsEngine {
  readonly name = 'openai';
  readonly #server: SpeechServer;
  readonly #unknownVoices = new Set<string>();
  readonly #stopped = new AbortController();

  constructor(server: SpeechServer) {
    this.#server = server;
  }

  /** Aborting closes the connection, so that the server stops too. */
  async synthesize(phrase: Phrase, signal: AbortSignal): Promise<SpeechAudio> {
    signal.throwIfAborted();
    this.#stopped.signal.throwIfAborted();
    const request = new AbortController();
    const onAbort = (): void => request.abort();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#stopped.signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await this.#speak(phrase, request.signal);
    } catch (error) {
      // No answer that comes now is wanted, and no connection is left.
      request.abort();
      signal.throwIfAborted();
      throw error instanceof VoiceError ? error : failure(error);
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#stopped.signal.removeEventListener('abort', onAbort);
    }
  }

  async stop(): Promise<void> {
    this.#stopped.abort(failure(new Error('the engine was stopped')));
  }

  async #speak(phrase: Phrase, signal: AbortSignal): Promise<SpeechAudio> {
    const own = this.#server.voice;
    const voice = phrase.voice !== undefined && this.#mayAsk(phrase.voice) ? phrase.voice : own;
    const response = await this.#post(phrase, voice, signal);
    if (response.ok) return this.#read(response, phrase.text);
    const why = await this.#refusal(response, phrase.text);
    if (voice === own || !UNKNOWN_VOICE_STATUS.includes(response.status)) throw why;
    const second = await this.#post(phrase, own, signal);
    if (!second.ok) throw await this.#refusal(second, phrase.text);
    const audio = await this.#read(second, phrase.text);
    this.#unknownVoices.add(voice);
    return audio;
  }

  #mayAsk(voice: string): boolean {
    if (this.#unknownVoices.size >= MAX_UNKNOWN_VOICES) this.#unknownVoices.clear();
    return VOICE.test(voice) && !this.#unknownVoices.has(voice);
  }

  #post(
    { text: input, instructions }: Phrase,
    voice: string,
    signal: AbortSignal,
  ): Promise<Response> {
    const { baseUrl, apiKey, model } = this.#server;
    return fetch(`${baseUrl}/audio/speech`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'audio/wav, audio/*;q=0.5',
        ...(apiKey && { authorization: `Bearer ${apiKey}` }),
      },
      body: JSON.stringify({
        model,
        input,
        voice,
        ...(instructions && { instructions }),
        response_format: 'wav',
      }),
      // The key is for this server alone.
      redirect: 'error',
      signal,
    });
  }

  async #read(response: Response, text: string): Promise<SpeechAudio> {
    const type = response.headers.get('content-type')?.toLowerCase() ?? '';
    // Errors that came to a server's mind after it had said 200.
    if (/json|text\/|event-stream/u.test(type)) throw await this.#refusal(response, text);
    const body = await readCapped(response, MAX_BYTES);
    if (body.toString('latin1', 0, 4) === 'RIFF') {
      checkComplete(body);
      return speechFromWav(body);
    }
    if (body[0] === 0x7b) throw this.#fault('answered 200', body, text);
    if (/pcm|l16/u.test(type)) return speechFromPcm(body, this.#rateOf(type));
    throw failure(new Error(`answered with ${type.slice(0, 100)}, which is no WAV`));
  }

  async #refusal(response: Response, text: string): Promise<VoiceError> {
    const body = await readCapped(response, MAX_ERROR_BYTES).catch(() => Buffer.alloc(0));
    return this.#fault(`answered ${response.status}`, body, text);
  }

  /** For the log: where neither key nor speech may get to, and servers like to quote what they were asked. */
  #fault(what: string, body: Buffer, text: string): VoiceError {
    const { apiKey } = this.#server;
    const reason = reasonIn(body);
    const keyless = apiKey === '' ? reason : reason.replaceAll(apiKey, '…');
    const said = withoutWords(keyless, text).slice(0, MAX_ERROR_CHARACTERS);
    return failure(new Error(`${what}: ${said}`));
  }

  /** `audio/L16;rate=24000`, where the server says it. */
  #rateOf(type: string): number {
    const rate = Number(/rate=(\d{4,6})/u.exec(type)?.[1]);
    return Number.isFinite(rate) ? rate : this.#server.sampleRate;
  }
}

/** A connection may end early without a fault that HTTP knows: then the header promises more than came. */
function checkComplete(wav: Buffer): void {
  if (wav.length < 8) return;
  const missing = wav.readUInt32LE(4) + 8 - wav.length;
  if (missing > 1 && missing < ABSURD_SIZE) {
    throw failure(new Error(`the answer ended ${missing} bytes early`));
  }
}

async function readCapped(response: Response, maxBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > maxBytes) throw failure(new Error(`the answer has more than ${maxBytes} bytes`));
    parts.push(part);
  }
  return Buffer.concat(parts);
}

const ErrorBody = z.object({
  message: z.string().optional(),
  error: z.union([z.string(), z.object({ message: z.string() })]).optional(),
  detail: z.union([z.string(), z.array(z.object({ msg: z.string() }))]).optional(),
});

/** What the server says is wrong. */
function reasonIn(body: Buffer): string {
  const parsed = ErrorBody.safeParse(parseJson(body));
  if (!parsed.success) return `${body.length} bytes that are no error of OpenAI's form`;
  const { message, error, detail } = parsed.data;
  const said = typeof error === 'string' ? error : error?.message;
  const details = typeof detail === 'string' ? detail : detail?.map(({ msg }) => msg).join(', ');
  return said ?? message ?? details ?? 'no reason given';
}

/** Nor where a part of the phrase is quoted, or its case changed. */
function withoutWords(reason: string, text: string): string {
  const words = new Set(text.toLowerCase().match(WORD));
  return reason
    .replaceAll(text, '…')
    .replace(WORD, (word) => (words.has(word.toLowerCase()) ? '…' : word));
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}

function failure(cause: unknown): VoiceError {
  return new VoiceError('tts_failed', { cause });
}
