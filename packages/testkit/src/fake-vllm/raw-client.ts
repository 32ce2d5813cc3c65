import { VllmServerEvent } from '@voice-fleet/protocol/vllm-realtime';
import { WebSocket } from 'ws';

type EventOf<T extends VllmServerEvent['type']> = Extract<VllmServerEvent, { type: T }>;

interface Waiter {
  readonly type: string;
  readonly take: (event: VllmServerEvent) => void;
  readonly fail: (error: Error) => void;
}

const TIMEOUT_MS = 10_000;

/** One utterance as the server told it. */
export interface RawTranscript {
  /** Empty ones included. */
  readonly deltas: readonly string[];
  readonly done: EventOf<'transcription.done'>;
}

/** A client of the realtime wire for tests: sends anything at once, keeps and checks all it gets, and helps with nothing. */
export class RawClient {
  readonly socket: WebSocket;
  /** Every event so far, in order; frames that are no event of the protocol are in `strange`. */
  readonly received: VllmServerEvent[] = [];
  readonly strange: string[] = [];
  /** Settles also when the connection was refused, with code 0 and the reason of the refusal. */
  readonly closed: Promise<{ code: number; reason: string }>;
  #unread: VllmServerEvent[] = [];
  #waiters: Waiter[] = [];
  #probes = 0;
  #isClosed = false;

  constructor(url: string, headers: Record<string, string> = {}) {
    this.socket = new WebSocket(url, { headers, perMessageDeflate: false });
    let refusal: string | undefined;
    this.socket.on('error', ({ message }) => {
      if (this.received.length === 0) refusal = message;
    });
    this.socket.on('message', (data: Buffer) => this.#onText(data.toString()));
    this.closed = new Promise((resolve) => {
      this.socket.once('close', (code, reason) => {
        this.#isClosed = true;
        for (const waiter of this.#waiters) waiter.fail(this.#error(waiter.type));
        resolve(
          refusal === undefined
            ? { code, reason: reason.toString() }
            : { code: 0, reason: refusal },
        );
      });
    });
  }

  /** A connection that was greeted, and has named its model. */
  static async open(url: string, model = '', headers: Record<string, string> = {}) {
    const client = new RawClient(url, headers);
    await client.next('session.created');
    client.send({ type: 'session.update', model });
    return client;
  }

  send(event: unknown): void {
    this.socket.send(JSON.stringify(event));
  }

  append(pcm: Buffer): void {
    this.send({ type: 'input_audio_buffer.append', audio: pcm.toString('base64') });
  }

  start(): void {
    this.send({ type: 'input_audio_buffer.commit' });
  }

  final(): void {
    this.send({ type: 'input_audio_buffer.commit', final: true });
  }

  /** A whole utterance at once. */
  async say(pcm: Buffer): Promise<RawTranscript> {
    this.start();
    if (pcm.length > 0) this.append(pcm);
    this.final();
    return this.transcript();
  }

  /** All deltas up to the next done that no earlier call has taken. */
  async transcript(): Promise<RawTranscript> {
    const done = await this.next('transcription.done');
    const taken = this.#unread.filter((event) => event.type === 'transcription.delta');
    this.#unread = this.#unread.filter((event) => event.type !== 'transcription.delta');
    return { deltas: taken.map(({ delta }) => delta), done };
  }

  /** The next event of this type that no earlier call has taken; events of other types before it stay for others. */
  next<T extends VllmServerEvent['type']>(type: T): Promise<EventOf<T>> {
    const at = this.#unread.findIndex((event) => event.type === type);
    if (at >= 0) return Promise.resolve(this.#unread.splice(at, 1)[0] as EventOf<T>);
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(this.#error(type));
      const timer = setTimeout(() => reject(this.#error(type)), TIMEOUT_MS);
      this.#waiters.push({
        type,
        take: (event) => {
          clearTimeout(timer);
          resolve(event as EventOf<T>);
        },
        fail: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
    });
  }

  /** Settles when the server has handled everything sent before: it does not answer any of that, but what it does not know. */
  async settled(): Promise<void> {
    this.#probes += 1;
    const type = `probe-${this.#probes}`;
    this.send({ type });
    for (;;) {
      const { error } = await this.next('error');
      if (error.endsWith(type)) return;
    }
  }

  /** Codes of all errors so far, those of `settled` left out. */
  get errors(): string[] {
    return this.received.flatMap((event) =>
      event.type === 'error' && !/probe-\d+$/.test(event.error) ? [String(event.code)] : [],
    );
  }

  terminate(): void {
    this.socket.terminate();
  }

  #onText(text: string): void {
    const event = parse(text);
    if (event === undefined) return void this.strange.push(text);
    this.received.push(event);
    const at = this.#waiters.findIndex((waiter) => waiter.type === event.type);
    if (at >= 0) this.#waiters.splice(at, 1)[0]?.take(event);
    else this.#unread.push(event);
  }

  #error(type: string): Error {
    const got = this.received.map((event) => event.type).join(', ');
    return new Error(`${this.#isClosed ? 'closed' : 'timed out'} before ${type}; got [${got}]`);
  }
}

function parse(text: string): VllmServerEvent | undefined {
  try {
    return VllmServerEvent.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
