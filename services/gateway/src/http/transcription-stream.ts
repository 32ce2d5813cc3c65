import type { ServerResponse } from 'node:http';
import type { VoiceError } from '@voice-fleet/protocol/errors';
import { openAiError } from '@voice-fleet/protocol/openai-error';
import type { Transcription } from '../voice/transcriber.ts';

/** The response, as far as it is used here. */
type StreamResponse = Pick<ServerResponse, 'writeHead' | 'write' | 'end' | 'writable'>;

const HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-store',
  // Proxies must not collect the words.
  'X-Accel-Buffering': 'no',
};

/** A transcript as server-sent events: text as it settles, then all of it. Nothing is sent before the first word, so that until then an error is answered with its status. */
export class TranscriptionStream {
  readonly #response: StreamResponse;
  #begun = false;

  constructor(response: StreamResponse) {
    this.#response = response;
  }

  /** The status is sent: what goes wrong now must be told in the stream. */
  get begun(): boolean {
    return this.#begun;
  }

  /** `text` follows what came before. All of it is kept until it is read; the longest recording bounds it. */
  add(text: string): void {
    // The final text has no white space around it.
    const delta = this.#begun ? text : text.trimStart();
    if (delta !== '') this.#send({ type: 'transcript.text.delta', delta });
  }

  finish({ text, usage }: Pick<Transcription, 'text' | 'usage'>): void {
    const { promptTokens, completionTokens } = usage;
    this.#send({
      type: 'transcript.text.done',
      text: text.trim(),
      usage: {
        type: 'tokens',
        input_tokens: promptTokens,
        input_token_details: { text_tokens: 0, audio_tokens: promptTokens },
        output_tokens: completionTokens,
        total_tokens: promptTokens + completionTokens,
      },
    });
    this.#end();
  }

  /** Clients throw it as an error of its own kind. */
  fail(error: VoiceError): void {
    this.#send({ error: openAiError(error) });
    this.#end();
  }

  #send(event: object): void {
    if (!this.#response.writable) return;
    if (!this.#begun) this.#response.writeHead(200, HEADERS);
    this.#begun = true;
    this.#response.write(`data: ${JSON.stringify(event)}\n\n`);
  }

  #end(): void {
    if (this.#response.writable) this.#response.end('data: [DONE]\n\n');
  }
}
