import { writeWav } from '@voice-fleet/speech/wav';
import type { FakeExchange } from './exchange.ts';
import type { FakeRoute } from './fake-openai.ts';

const SAMPLE_RATE = 24_000;
const MS_PER_CHARACTER = 60;
const TONE_HZ = 440;
const AMPLITUDE = 8_000;

/** One request for speech. */
export interface SpeechCall {
  readonly exchange: FakeExchange;
  readonly body: Readonly<Record<string, unknown>>;
  readonly input: string;
  readonly voice: string;
}

/** What goes wrong, or is only said in another way than OpenAI's. */
export type SpeechFault =
  /** Nothing ever; with `headers` these come, and some audio. */
  | { readonly kind: 'hang'; readonly headers?: boolean }
  | { readonly kind: 'error'; readonly status: number; readonly message?: string }
  /** 200, and an error as JSON. */
  | { readonly kind: 'error_body'; readonly contentType?: string }
  /** A header written before the length was known, both sizes being this number. */
  | { readonly kind: 'bogus_header'; readonly size: number }
  /** Half of it; `quietly` in an answer whose end is that of its connection, so that HTTP sees no fault. */
  | { readonly kind: 'cut'; readonly quietly?: boolean }
  /** PCM without a header, whatever was asked for. */
  | { readonly kind: 'bare_pcm'; readonly contentType: string }
  /** As it is where a server has no other format. */
  | { readonly kind: 'mp3' }
  /** Audio without end. */
  | { readonly kind: 'flood' };

export interface SpeechReply {
  /** Before the answer. */
  readonly afterMs?: number;
  readonly fault?: SpeechFault;
}

/** `POST /v1/audio/speech` of the fake: a tone as long as the text. */
export class FakeSpeech implements FakeRoute {
  readonly path = '/v1/audio/speech';
  readonly calls: SpeechCall[] = [];
  /** Of how many requests at a time the answer was under way, at the most. */
  mostAtATime = 0;
  reply: (call: SpeechCall) => SpeechReply;
  readonly #voices: readonly string[] | undefined;
  readonly #scripted: SpeechReply[] = [];
  #active = 0;

  /** `voices`: others are refused, as OpenAI does; without the option there are all. */
  constructor(
    options: {
      readonly reply?: (call: SpeechCall) => SpeechReply;
      readonly voices?: readonly string[];
    } = {},
  ) {
    this.reply = options.reply ?? (() => ({}));
    this.#voices = options.voices;
  }

  /** The next calls are answered so, one each. */
  next(...replies: SpeechReply[]): void {
    this.#scripted.push(...replies);
  }

  async answer(exchange: FakeExchange): Promise<void> {
    const body = (exchange.body ?? {}) as Record<string, unknown>;
    const { input, voice, model } = body;
    if (typeof input !== 'string' || typeof voice !== 'string' || typeof model !== 'string')
      return refuse(exchange, 400, 'you must provide input, model and voice');
    const call = { exchange, body, input, voice };
    this.calls.push(call);
    this.#active += 1;
    this.mostAtATime = Math.max(this.mostAtATime, this.#active);
    try {
      if (this.#voices?.includes(voice) === false)
        return refuse(exchange, 400, `there is no voice ${voice}`);
      const { afterMs = 0, fault } = this.#scripted.shift() ?? this.reply(call);
      if (afterMs > 0) await exchange.pause(afterMs);
      await speak(call, fault);
    } finally {
      this.#active -= 1;
    }
  }
}

/** What the fake says for a text. */
export function toneFor(text: string): Buffer {
  const samples = Math.max(1, Math.round((text.length * MS_PER_CHARACTER * SAMPLE_RATE) / 1_000));
  const pcm = Buffer.alloc(samples * 2);
  for (let index = 0; index < samples; index += 1) {
    const angle = (2 * Math.PI * TONE_HZ * index) / SAMPLE_RATE;
    pcm.writeInt16LE(Math.round(AMPLITUDE * Math.sin(angle)), index * 2);
  }
  return pcm;
}

async function speak(call: SpeechCall, fault: SpeechFault | undefined): Promise<void> {
  const { exchange, input } = call;
  const { response } = exchange;
  const pcm = toneFor(input);
  const wav = writeWav(pcm, SAMPLE_RATE);
  const whole = (contentType: string, body: Buffer | string): void =>
    void response.writeHead(200, { 'content-type': contentType }).end(body);
  switch (fault?.kind) {
    case undefined:
      return whole('audio/wav', wav);
    case 'hang':
      if (fault.headers)
        response.writeHead(200, { 'content-type': 'audio/wav' }).write(wav.subarray(0, 64));
      return exchange.untilGone();
    case 'error':
      return refuse(exchange, fault.status, fault.message ?? 'no speech today');
    case 'error_body':
      return whole(
        fault.contentType ?? 'application/json',
        JSON.stringify({ error: { message: 'the engine core died', type: 'server_error' } }),
      );
    case 'bogus_header':
      wav.writeUInt32LE(fault.size, 4);
      wav.writeUInt32LE(fault.size, 40);
      return whole('audio/wav', wav);
    case 'cut':
      return cut(exchange, wav.subarray(0, wav.length / 2), fault.quietly === true);
    case 'bare_pcm':
      return whole(fault.contentType, pcm);
    case 'mp3':
      return whole('audio/mpeg', Buffer.from('fffb90640000000000', 'hex'));
    case 'flood':
      return flood(exchange, wav);
  }
}

function cut(exchange: FakeExchange, half: Buffer, quietly: boolean): void {
  const { response } = exchange;
  if (quietly) response.useChunkedEncodingByDefault = false;
  response.writeHead(200, { 'content-type': 'audio/wav', ...(quietly && { connection: 'close' }) });
  response.write(half);
  exchange.cut();
}

async function flood(exchange: FakeExchange, wav: Buffer): Promise<void> {
  const { response } = exchange;
  response.writeHead(200, { 'content-type': 'audio/wav' }).write(wav);
  const more = Buffer.alloc(256 * 1024);
  while (!exchange.signal.aborted) {
    if (response.write(more)) continue;
    await Promise.race([
      new Promise((resolve) => response.once('drain', resolve)),
      exchange.closed,
    ]);
  }
}

function refuse(exchange: FakeExchange, status: number, message: string): void {
  exchange.error(status, {
    message,
    type: status < 500 ? 'invalid_request_error' : 'server_error',
  });
}
