import { type VoiceClientFrame, VoiceServerFrame } from '@voice-fleet/protocol/prompt-voice';
import { frames } from '@voice-fleet/testkit/coded-speech';
import { WebSocket } from 'ws';

export type FrameType = VoiceServerFrame['type'];
export type FrameOf<T extends FrameType> = Extract<VoiceServerFrame, { type: T }>;
type Start = Omit<Extract<VoiceClientFrame, { type: 'start' }>, 'type'>;

interface Waiter {
  readonly fits: (frame: VoiceServerFrame) => boolean;
  readonly take: (frame: VoiceServerFrame) => void;
}

const TIMEOUT_MS = 60_000;
const FRAME_MS = 80;

/** A raw client of the voice dialect for tests: sends anything, checks every frame it gets against the schema, keeps all. */
export class VoiceSocket {
  readonly socket: WebSocket;
  /** Every frame so far, in order. */
  readonly received: VoiceServerFrame[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  #waiters: Waiter[] = [];
  #unread: VoiceServerFrame[] = [];
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

  send(frame: unknown): void {
    this.socket.send(JSON.stringify(frame));
  }

  sendRaw(data: string | Buffer): void {
    this.socket.send(data);
  }

  start(options: Start = {}): void {
    this.send({ type: 'start', sample_rate: 16_000, ...options });
  }

  /** In frames of 80 ms, all at once. */
  speak(pcm: Buffer): void {
    for (const frame of frames(pcm)) this.sendRaw(frame);
  }

  /** In frames of 80 ms, as fast as it is spoken. */
  async speakLive(pcm: Buffer): Promise<void> {
    const beganMs = performance.now();
    for (const [index, frame] of frames(pcm).entries()) {
      const leftMs = beganMs + (index + 1) * FRAME_MS - performance.now();
      await new Promise((resolve) => setTimeout(resolve, leftMs));
      this.sendRaw(frame);
    }
  }

  stop(): void {
    this.send({ type: 'stop' });
  }

  cancel(): void {
    this.send({ type: 'cancel' });
  }

  /** A whole utterance at once. */
  say(pcm: Buffer, options: Start = {}): void {
    this.start(options);
    this.speak(pcm);
    this.stop();
  }

  /** The next frame of this type that no earlier call has taken; frames of other types before it stay for others. */
  next<T extends FrameType>(type: T, timeoutMs?: number): Promise<FrameOf<T>> {
    return this.#take((frame) => frame.type === type, type, timeoutMs) as Promise<FrameOf<T>>;
  }

  /** The next error or info with this code. */
  coded(code: string, timeoutMs?: number): Promise<FrameOf<'error'> | FrameOf<'info'>> {
    const fits = (frame: VoiceServerFrame): boolean => 'code' in frame && frame.code === code;
    return this.#take(fits, code, timeoutMs) as Promise<FrameOf<'error'> | FrameOf<'info'>>;
  }

  /** The marks of the next utterance that is over. */
  latency(timeoutMs?: number): Promise<Extract<VoiceServerFrame, { event: 'latency' }>> {
    const fits = (frame: VoiceServerFrame): boolean =>
      frame.type === 'metrics' && frame.event === 'latency';
    return this.#take(fits, 'latency', timeoutMs) as Promise<
      Extract<VoiceServerFrame, { event: 'latency' }>
    >;
  }

  of<T extends FrameType>(type: T): FrameOf<T>[] {
    return this.received.filter((frame): frame is FrameOf<T> => frame.type === type);
  }

  /** Types of all frames so far, errors and infos with their codes. */
  get story(): string[] {
    return this.received.map((frame) => {
      if (frame.type === 'metrics') return frame.event;
      return 'code' in frame && frame.code !== undefined ? frame.code : frame.type;
    });
  }

  /** Proves that the socket lives and that everything sent before was handled. */
  async settled(): Promise<void> {
    this.send({ type: 'ping' });
    await this.next('pong');
  }

  terminate(): void {
    this.socket.terminate();
  }

  #take(
    fits: (frame: VoiceServerFrame) => boolean,
    what: string,
    timeoutMs = TIMEOUT_MS,
  ): Promise<VoiceServerFrame> {
    const at = this.#unread.findIndex(fits);
    const found = this.#unread[at];
    if (found) {
      this.#unread.splice(at, 1);
      return Promise.resolve(found);
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no ${what}; got ${this.#summary()}`)),
        timeoutMs,
      );
      const take = (frame: VoiceServerFrame): void => {
        clearTimeout(timer);
        resolve(frame);
      };
      this.#waiters.push({ fits, take });
      void this.closed.then(({ code, reason }) => {
        clearTimeout(timer);
        reject(new Error(`closed ${code} ${reason} before ${what}; got ${this.#summary()}`));
      });
    });
  }

  #onFrame(data: Buffer): void {
    const frame = VoiceServerFrame.parse(JSON.parse(data.toString()));
    this.received.push(frame);
    const at = this.#waiters.findIndex((waiter) => waiter.fits(frame));
    if (at >= 0) this.#waiters.splice(at, 1)[0]?.take(frame);
    else this.#unread.push(frame);
  }

  #summary(): string {
    return `[${this.story.join(', ')}]${this.#fault ? ` and ${this.#fault.message}` : ''}`;
  }
}
