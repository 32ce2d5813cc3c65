import type { VoiceClientFrame, VoiceServerFrame } from '@voice-fleet/protocol/prompt-voice';
import { YAP_QUERY } from '@voice-fleet/protocol/yap';
import { type Clock, systemClock } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { WebSocket } from 'ws';
import { VoiceProtocolError, VoiceServerError } from './voice-errors.ts';
import { parseVoiceFrame } from './voice-frames.ts';
import { type VoiceMode, VoiceTurn } from './voice-turn.ts';
import { failureOfHttpStatus, YapConnectionClosed, YapUnreachable } from './yap-errors.ts';
import { withTimeout } from './yap-wait.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2_000;
/** A frame holds one spoken phrase at the most. */
const MAX_FRAME_BYTES = 32 * 1024 * 1024;

type StartFrame = Extract<VoiceClientFrame, { type: 'start' }>;
export type VoiceInfo = Extract<VoiceServerFrame, { type: 'info' }>;

export interface VoiceConnectOptions {
  readonly url: URL;
  readonly apiKey?: string | undefined;
  /** Header by default: a query ends up in access logs. */
  readonly keyIn?: 'header' | 'query' | undefined;
  /** Covers dialling alone. */
  readonly connectTimeoutMs?: number | undefined;
  readonly clock?: Clock | undefined;
  /** Aborting fails everything awaited with the signal's reason and closes the socket. */
  readonly signal?: AbortSignal | undefined;
  /** Sees every frame of the session. */
  readonly onFrame?: ((frame: VoiceServerFrame) => void) | undefined;
}

export interface VoiceStart {
  readonly mode?: VoiceMode;
  readonly replyMode?: StartFrame['reply_mode'];
  readonly chunkSizeWords?: number;
  /** False: `stop` alone ends the utterance. */
  readonly endpointing?: boolean;
  /** What is said of the audio, which must be 16 kHz: another value is for tests of the server. */
  readonly sampleRate?: number;
}

/** One session of the voice pipeline on `/ws`: utterances one after the other, each with its reply. */
export class VoiceClient {
  /** Resolves when the socket is gone, whoever closed it. Never rejects. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly #clock: Clock;
  readonly #socket: WebSocket;
  readonly #onFrame: (frame: VoiceServerFrame) => void;
  readonly #opened: Promise<void>;
  #turn: VoiceTurn | undefined;
  /** The server has begun `#turn`: what came before is of the one before it. */
  #begun = false;
  /** Speaks into the reply of `#turn`, until the server has heard it. */
  #next: VoiceTurn | undefined;
  #interrupted: VoiceTurn | undefined;
  #failure: Error | undefined;
  #sessionId: string | undefined;
  #rejectOpen: (error: Error) => void = () => {};

  private constructor(options: VoiceConnectOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#onFrame = options.onFrame ?? (() => {});
    const { url, headers } = request(options);
    // ws turns Nagle's algorithm off by itself; compressing audio costs time and gains little.
    this.#socket = new WebSocket(url, {
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES,
      headers,
    });
    this.#opened = new Promise((resolve, reject) => {
      this.#socket.on('open', resolve);
      this.#rejectOpen = reject;
    });
    // Awaited in `connect` alone.
    this.#opened.catch(() => {});
    this.closed = this.#listen(options.signal);
  }

  /** Resolves when the socket is open; what the server has against the session it tells in its first frames. */
  static async connect(options: VoiceConnectOptions): Promise<VoiceClient> {
    options.signal?.throwIfAborted();
    const client = new VoiceClient(options);
    try {
      const timeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
      await withTimeout(client.#clock, client.#opened, 'the connection to open', timeoutMs);
      return client;
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  /** As the server named it, once it has. */
  get sessionId(): string | undefined {
    return this.#sessionId;
  }

  /** Opens an utterance. Throws while another turn runs, and what ended the connection if it has ended. */
  start(options: VoiceStart = {}): VoiceTurn {
    if (this.#turn && !this.#turn.over.aborted) {
      throw new VoiceProtocolError('A turn is running; wait for its end, or cancel it.');
    }
    const { mode = 'voice', replyMode, chunkSizeWords, endpointing, sampleRate } = options;
    this.sendFrame({
      type: 'start',
      sample_rate: sampleRate ?? SAMPLE_RATE,
      mode,
      ...(replyMode === undefined ? {} : { reply_mode: replyMode }),
      ...(chunkSizeWords === undefined ? {} : { chunk_size_words: chunkSizeWords }),
      ...(endpointing === undefined ? {} : { endpointing }),
    });
    this.#next = undefined;
    this.#begun = false;
    this.#turn = this.#newTurn(mode);
    return this.#turn;
  }

  /**
   * A turn that is spoken into the reply of the running one (barge-in): it needs no start, and becomes the running turn when
   * the server has heard it. If the reply is over before, it fails with VoiceProtocolError. Throws when no turn runs.
   */
  interrupt(): VoiceTurn {
    const turn = this.#turn;
    if (!turn || turn.over.aborted) throw new VoiceProtocolError('No reply is under way.');
    const next = this.#newTurn(turn.mode);
    this.#next = next;
    const onOver = (): void => {
      if (this.#next === next) next.fail(new VoiceProtocolError('The reply was over before.'));
    };
    turn.over.addEventListener('abort', onOver, { once: true });
    return next;
  }

  sendFrame(frame: VoiceClientFrame): void {
    this.sendRaw(JSON.stringify(frame));
  }

  /** Sends anything, valid or not: for tests of the server. A Buffer goes out as a binary frame. */
  sendRaw(data: string | Buffer): void {
    if (this.#failure) throw this.#failure;
    this.#socket.send(data);
  }

  /** Closes from this side; a peer that does not answer is dropped. Never throws. */
  async close(timeoutMs = CLOSE_TIMEOUT_MS): Promise<{ code: number; reason: string }> {
    this.#socket.close(1000);
    const timer = this.#clock.after(timeoutMs, () => this.#socket.terminate());
    try {
      return await this.closed;
    } finally {
      timer.cancel();
    }
  }

  #newTurn(mode: VoiceMode): VoiceTurn {
    return new VoiceTurn({
      mode,
      clock: this.#clock,
      output: {
        audio: (pcm) => this.sendRaw(pcm),
        stop: () => this.sendFrame({ type: 'stop' }),
        cancel: () => this.sendFrame({ type: 'cancel' }),
      },
    });
  }

  #listen(signal: AbortSignal | undefined): Promise<{ code: number; reason: string }> {
    const socket = this.#socket;
    const onAbort = (): void => {
      this.#fail(signal?.reason as Error);
      void this.close();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.on('message', (data, isBinary) => this.#receive(parseVoiceFrame(data, isBinary)));
    socket.on('unexpected-response', (_request, response) => {
      this.#fail(failureOfHttpStatus(response.statusCode ?? 0));
      socket.terminate();
    });
    socket.on('error', (cause) => this.#fail(new YapUnreachable(cause.message, { cause })));
    return new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        signal?.removeEventListener('abort', onAbort);
        this.#fail(new YapConnectionClosed(code, reason.toString()));
        resolve({ code, reason: reason.toString() });
      });
    });
  }

  #receive(frame: VoiceServerFrame | VoiceProtocolError): void {
    if (frame instanceof VoiceProtocolError) {
      this.#fail(frame);
      void this.close();
      return;
    }
    if (frame.type === 'info') this.#sessionId ??= frame.session_id;
    this.#onFrame(frame);
    this.#route(frame);
    if (frame.type === 'error' && !frame.recoverable) this.#fail(new VoiceServerError(frame));
  }

  /** What follows a barge-in is of the turn that cut in; only the marks of the one before may still come. */
  #route(frame: VoiceServerFrame): void {
    const interrupted = this.#interrupted;
    if (
      interrupted &&
      !interrupted.over.aborted &&
      frame.type === 'metrics' &&
      frame.event === 'latency'
    ) {
      interrupted.receive(frame);
      return;
    }
    const turn = this.#turn;
    this.#begun ||= frame.type === 'protocol';
    if (!this.#begun && frame.type !== 'error' && frame.type !== 'info') return;
    if (frame.type === 'info' && frame.code === 'BARGE_IN' && this.#next) {
      this.#interrupted = turn;
      this.#turn = this.#next;
      this.#next = undefined;
    }
    turn?.receive(frame);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#rejectOpen(error);
    this.#turn?.fail(error);
    this.#next?.fail(error);
    this.#interrupted?.fail(error);
  }
}

function request({ url, apiKey, keyIn = 'header' }: VoiceConnectOptions): {
  url: URL;
  headers: Record<string, string>;
} {
  if (!apiKey) return { url, headers: {} };
  if (keyIn === 'header') return { url, headers: { 'X-API-Key': apiKey } };
  const withKey = new URL(url);
  withKey.searchParams.set(YAP_QUERY.apiKey, apiKey);
  return { url: withKey, headers: {} };
}
