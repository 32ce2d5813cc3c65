import type { TurnEvent, TurnRequest } from '@voice-fleet/protocol/turn';
import { NO_SPAN, type Span, type Tracer } from '@voice-fleet/telemetry/tracing/tracer';

/** One turn as spans: `chat` until the reply's last token, `text_to_speech` from its first until all is said. */
export class TurnTrace {
  readonly #tracer: Tracer;
  readonly #parent: string | undefined;
  readonly #session: string;
  readonly #chat: Span;
  #speech: Span = NO_SPAN;
  #tokens = 0;
  #phrases = 0;
  #phrasesLost = 0;
  #reply = '';

  constructor(tracer: Tracer, request: TurnRequest, traceparent: string | undefined) {
    this.#tracer = tracer;
    this.#parent = traceparent;
    this.#session = request.conversation;
    const attributes = { session: this.#session, conversation: this.#session, operation: 'chat' };
    this.#chat = tracer.start('chat', { kind: 'server', parent: traceparent, attributes });
  }

  /** For log lines. */
  get traceId(): string | undefined {
    return this.#chat.traceId;
  }

  onEvent(event: TurnEvent): void {
    switch (event.type) {
      case 'started':
        this.#chat.set({ model: event.model });
        if (event.tts !== undefined) this.#speak(event.tts);
        return;
      case 'token':
        if (event.done) return this.#endChat();
        if (this.#tokens === 0) this.#chat.event('first_token');
        this.#tokens += 1;
        if (this.#tracer.on) this.#reply += event.text;
        return;
      case 'speech':
        if (this.#phrases === 0) this.#speech.event('first_audio');
        this.#phrases += 1;
        return;
      case 'phrase_dropped':
        this.#phrasesLost += 1;
        return;
      case 'error':
        if (event.phrase === undefined) this.#endChat(event.code);
        else this.#phrasesLost += 1;
        return;
      case 'phrase_done':
      case 'complete':
        return;
    }
  }

  /** Nothing more comes. */
  close(outcome: string, error: string | undefined): void {
    this.#chat.set({ outcome });
    this.#endChat(error);
    const { phrases, phrasesLost } = { phrases: this.#phrases, phrasesLost: this.#phrasesLost };
    this.#speech.set({ outcome, phrases, phrasesLost });
    this.#speech.end();
  }

  #speak(tts: string): void {
    const attributes = { session: this.#session, operation: 'text_to_speech', engine: tts };
    this.#speech = this.#tracer.start('text_to_speech', { parent: this.#parent, attributes });
  }

  #endChat(error?: string): void {
    this.#chat.set({ tokens: this.#tokens });
    this.#chat.content('replied', this.#reply);
    this.#chat.end(error);
  }
}
