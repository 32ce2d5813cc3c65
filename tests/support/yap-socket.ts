import { YapServerFrame } from '@voice-fleet/protocol/yap';
import { frames } from '@voice-fleet/testkit/coded-speech';
import { WebSocket } from 'ws';

type FrameOf<T extends YapServerFrame['type']> = Extract<YapServerFrame, { type: T }>;

interface Waiter {
  readonly type: string;
  readonly take: (frame: YapServerFrame) => void;
}

const TIMEOUT_MS = 60_000;

/** A raw client of the yap dialect for tests: sends anything, checks every frame it gets against the schema, keeps all. */
export class YapSocket {
  readonly socket: WebSocket;
  /** Every frame so far, in order. */
  readonly received: YapServerFrame[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  #waiters: Waiter[] = [];
  #unread: YapServerFrame[] = [];
  #fault: Error | undefined;

  constructor(url: string, headers: Record<string, string> = {}) {
    this.socket = new WebSocket(url, { headers, perMessageDeflate: false });
    this.socket.on('error', (error) => {
      this.#fault = error;
    });
    this.socket.on('message', (data: Buffer) => this.#onFrame(data));
    this.closed = new Promise((resolve) => {
      this.socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
  }

  send(type: string, requestId: string, payload?: unknown, sessionId = 's1'): void {
    this.socket.send(
      JSON.stringify({ type, session_id: sessionId, request_id: requestId, payload }),
    );
  }

  sendRaw(data: string | Buffer): void {
    this.socket.send(data);
  }

  start(requestId: string): void {
    this.send('input_audio_buffer.commit', requestId, { final: false });
  }

  append(requestId: string, pcm: Buffer): void {
    this.send('input_audio_buffer.append', requestId, { audio: pcm.toString('base64') });
  }

  finalize(requestId: string): void {
    this.send('input_audio_buffer.commit', requestId, { final: true });
  }

  /** A whole utterance at once, in frames of 80 ms. */
  say(requestId: string, pcm: Buffer): void {
    this.start(requestId);
    for (const frame of frames(pcm)) this.append(requestId, frame);
    this.finalize(requestId);
  }

  /** The next frame of this type that no earlier call has taken; frames of other types before it stay for others. */
  next<T extends YapServerFrame['type']>(type: T): Promise<FrameOf<T>> {
    const at = this.#unread.findIndex((frame) => frame.type === type);
    if (at >= 0) return Promise.resolve(this.#unread.splice(at, 1)[0] as FrameOf<T>);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no ${type} frame; got ${this.#summary()}`)),
        TIMEOUT_MS,
      );
      const take = (frame: YapServerFrame): void => {
        clearTimeout(timer);
        resolve(frame as FrameOf<T>);
      };
      this.#waiters.push({ type, take });
      void this.closed.then(({ code, reason }) => {
        clearTimeout(timer);
        reject(new Error(`closed ${code} ${reason} before ${type}; got ${this.#summary()}`));
      });
    });
  }

  /** Frames about one utterance. */
  of(requestId: string): YapServerFrame[] {
    return this.received.filter((frame) => frame.request_id === requestId);
  }

  /** All tokens of an utterance joined. */
  text(requestId: string): string {
    return this.of(requestId)
      .map((frame) => (frame.type === 'token' ? frame.payload.text : ''))
      .join('');
  }

  /** Proves that the socket lives and that everything sent before was handled. */
  async settled(): Promise<void> {
    const nonce = `ping-${Math.random()}`;
    this.send('ping', nonce);
    for (;;) {
      const pong = await this.next('pong');
      if (pong.request_id === nonce) return;
    }
  }

  /** Drops every frame received so far, for those who measure memory that is not the client's. */
  forget(): void {
    this.received.length = 0;
    this.#unread = [];
  }

  terminate(): void {
    this.socket.terminate();
  }

  #onFrame(data: Buffer): void {
    const frame = YapServerFrame.parse(JSON.parse(data.toString()));
    this.received.push(frame);
    const at = this.#waiters.findIndex((waiter) => waiter.type === frame.type);
    if (at >= 0) this.#waiters.splice(at, 1)[0]?.take(frame);
    else this.#unread.push(frame);
  }

  #summary(): string {
    const types = this.received.map((frame) => frame.type).join(', ');
    return `[${types}]${this.#fault ? ` and ${this.#fault.message}` : ''}`;
  }
}
