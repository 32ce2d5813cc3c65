import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { YapServerFrame } from '@voice-fleet/protocol/yap';
import { CodedListener } from '@voice-fleet/testkit/coded-speech';
import { type WebSocket, WebSocketServer } from 'ws';

/** What is done to the words of an utterance, named by their place in it, from 0. */
export interface Damage {
  readonly drop?: readonly number[];
  readonly double?: readonly number[];
  /** The word comes so many words later. */
  readonly delayByWords?: ReadonlyMap<number, number>;
  /** Nothing is sent for so long, before this word. */
  readonly hold?: { readonly place: number; readonly ms: number };
}

/** A fleet of one process that hears coded speech and damages the transcript as it is told. */
export class LossyServer implements AsyncDisposable {
  readonly url: URL;
  readonly #server: WebSocketServer;

  private constructor(server: WebSocketServer, damage: Damage) {
    this.#server = server;
    this.url = new URL(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    server.on('connection', (socket) => new LossySession(socket, damage));
  }

  static async start(damage: Damage): Promise<LossyServer> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    return new LossyServer(server, damage);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#server.clients) socket.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

class LossySession {
  readonly #socket: WebSocket;
  readonly #damage: Damage;
  readonly #late: { word: string; dueAt: number }[] = [];
  #listener = new CodedListener();
  #ids = { session_id: 'unknown', request_id: 'unknown' };
  #heard = 0;
  #text = '';
  /** What waits while nothing may be sent. */
  #held: YapServerFrame[] | undefined;

  constructor(socket: WebSocket, damage: Damage) {
    this.#socket = socket;
    this.#damage = damage;
    socket.on('message', (data: Buffer) => this.#onFrame(JSON.parse(data.toString())));
    this.#send({
      type: 'session.created',
      ...this.#ids,
      payload: { id: 's', created: 0, model: 'm' },
    });
  }

  #onFrame(frame: {
    type: string;
    session_id: string;
    request_id: string;
    payload: { audio?: string; final?: boolean };
  }): void {
    if (frame.type === 'end') return this.#socket.close(1000);
    if (frame.type === 'input_audio_buffer.append') {
      for (const word of this.#listener.hear(Buffer.from(frame.payload.audio ?? '', 'base64')))
        this.#onWord(word);
      return;
    }
    const { session_id, request_id } = frame;
    this.#ids = { session_id, request_id };
    if (frame.payload.final) return this.#finish();
    this.#listener = new CodedListener();
    this.#heard = 0;
    this.#text = '';
  }

  #onWord(word: string): void {
    const { drop = [], double = [], delayByWords, hold } = this.#damage;
    const place = this.#heard;
    this.#heard += 1;
    if (hold?.place === place) this.#hold(hold.ms);
    const delay = delayByWords?.get(place);
    if (delay !== undefined) this.#late.push({ word, dueAt: place + delay });
    else if (!drop.includes(place)) this.#say(word);
    if (double.includes(place)) this.#say(word);
    for (const due of this.#late.filter(({ dueAt }) => dueAt === place)) this.#say(due.word);
  }

  #say(word: string): void {
    const text = this.#text === '' ? word : ` ${word}`;
    this.#text += text;
    this.#send({ type: 'token', ...this.#ids, payload: { text } });
  }

  #finish(): void {
    this.#send({ type: 'final', ...this.#ids, payload: { normalized_text: this.#text } });
    const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
    this.#send({ type: 'done', ...this.#ids, payload: { usage } });
  }

  #hold(ms: number): void {
    this.#held = [];
    setTimeout(() => {
      const waiting = this.#held ?? [];
      this.#held = undefined;
      for (const frame of waiting) this.#send(frame);
    }, ms);
  }

  #send(frame: YapServerFrame): void {
    if (this.#held) this.#held.push(frame);
    else this.#socket.send(JSON.stringify(frame));
  }
}
