import {
  VLLM_REALTIME_PATH,
  type VllmClientEvent,
  VllmServerEvent,
  type VllmUsage,
} from '@voice-fleet/protocol/vllm-realtime';
import { WebSocket } from 'ws';
import { StreamFault } from '../engine.ts';

/** Deltas are tiny; a `done` holds one segment's text. */
const MAX_MESSAGE_BYTES = 1024 * 1024;
/** vLLM does not answer a good `session.update`, but it answers this, in order. */
const FENCE = JSON.stringify({ type: 'voice_fleet.fence' });
const NORMAL = 1000;
const APPEND_HEAD = '{"type":"input_audio_buffer.append","audio":"';
const APPEND_TAIL = '"}';

export interface UpstreamOptions {
  /** Of vLLM, `http://` or `https://`. */
  readonly baseUrl: string;
  readonly model: string;
  readonly apiKey: string | undefined;
  /** Of the utterance that it is dialled for. */
  readonly traceparent?: string | undefined;
  readonly dialTimeoutMs: number;
  /** When vLLM or the network closed an open connection, or it was closed for a fault. */
  readonly onClosed?: (code: number) => void;
}

/** Of one utterance, in order; the last call is `onDone` or `onFault`. */
export interface UpstreamListener {
  onDelta(delta: string): void;
  onDone(usage: VllmUsage | undefined): void;
  onFault(fault: StreamFault): void;
}

type State = 'validating' | 'idle' | 'started' | 'finalising' | 'closed';

/**
 * One connection to vLLM's realtime endpoint: one utterance at a time, with exactly one start and one final, and none
 * before the last is done. Anything out of order closes it; nothing it is told afterwards has an effect.
 */
export class Upstream {
  readonly #socket: WebSocket;
  #state: State = 'validating';
  #listener: UpstreamListener | undefined;
  #settleDial: ((fault: StreamFault | undefined) => void) | undefined;
  #answered = true;
  #abandoned = false;

  private constructor(options: UpstreamOptions) {
    const url = new URL(VLLM_REALTIME_PATH, options.baseUrl);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    this.#socket = new WebSocket(url, {
      headers: {
        ...(options.apiKey && { authorization: `Bearer ${options.apiKey}` }),
        ...(options.traceparent !== undefined && { traceparent: options.traceparent }),
      },
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      handshakeTimeout: options.dialTimeoutMs,
    });
    let opened = false;
    this.#socket.on('open', () => {
      opened = true;
    });
    this.#socket.on('message', (data: Buffer, isBinary) =>
      this.#onMessage(isBinary ? '' : data.toString(), options.model),
    );
    this.#socket.on('pong', () => {
      this.#answered = true;
    });
    // What follows is a close.
    this.#socket.on('error', (error) => this.#fail('unreachable', error.message));
    this.#socket.on('close', (code) => {
      this.#fail('closed', `vLLM closed the connection (${code})`);
      if (opened && !this.#abandoned) options.onClosed?.(code);
    });
  }

  /** Settles with a connection whose model is validated; rejects with a StreamFault. */
  static async dial(options: UpstreamOptions, signal?: AbortSignal): Promise<Upstream> {
    const upstream = new Upstream(options);
    const giveUp = (why: string) => () => upstream.#fail('unreachable', why);
    const onAbort = giveUp('the dial was called off');
    const timer = AbortSignal.timeout(options.dialTimeoutMs);
    const onTimeout = giveUp(`vLLM did not answer within ${options.dialTimeoutMs} ms`);
    timer.addEventListener('abort', onTimeout, { once: true });
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    try {
      const fault = await new Promise<StreamFault | undefined>((resolve) => {
        upstream.#settleDial = resolve;
        if (upstream.#state === 'closed') onAbort();
      });
      if (fault) throw fault;
      return upstream;
    } finally {
      timer.removeEventListener('abort', onTimeout);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Ready for an utterance. */
  get idle(): boolean {
    return this.#state === 'idle';
  }

  /** `traceparent`: of the utterance. vLLM itself ignores fields that it does not know. */
  begin(listener: UpstreamListener, traceparent?: string): void {
    if (this.#state !== 'idle')
      throw new Error(`an utterance begins when idle, not ${this.#state}`);
    this.#state = 'started';
    this.#listener = listener;
    const trace = traceparent === undefined ? {} : { traceparent };
    this.#send({ type: 'input_audio_buffer.commit', final: false, ...trace });
  }

  /** PCM16 LE mono 16 kHz: at least a sample, and no half ones. */
  append(pcm: Buffer): void {
    if (this.#state !== 'started') return;
    if (pcm.length === 0 || pcm.length % 2 !== 0) throw new RangeError('audio is whole samples');
    this.#socket.send(APPEND_HEAD + pcm.toString('base64') + APPEND_TAIL);
  }

  finish(): void {
    if (this.#state !== 'started') return;
    this.#state = 'finalising';
    this.#send({ type: 'input_audio_buffer.commit', final: true });
  }

  /** Whether the last `ping` was answered; asks again. For idle connections: an utterance shows by itself that it lives. */
  ping(): boolean {
    const answered = this.#answered;
    this.#answered = false;
    if (this.#state !== 'closed') this.#socket.ping();
    return answered;
  }

  /** Ends what is under way, at once: vLLM knows no other way to cancel. */
  close(): void {
    this.#abandoned = true;
    this.#shut();
  }

  #shut(): void {
    if (this.#state === 'closed') return;
    const unused = this.#state === 'idle';
    this.#state = 'closed';
    this.#listener = undefined;
    // Politeness would keep audio in a buffer that nobody reads.
    if (unused) this.#socket.close(NORMAL);
    this.#socket.terminate();
  }

  #send(event: VllmClientEvent): void {
    this.#socket.send(JSON.stringify(event));
  }

  #onMessage(text: string, model: string): void {
    if (this.#state === 'closed') return;
    const event = parseServerEvent(text);
    switch (event?.type) {
      case 'session.created':
        this.#send({ type: 'session.update', model });
        this.#socket.send(FENCE);
        return;
      case 'transcription.delta':
        if (this.#listener) return this.#listener.onDelta(event.delta);
        return this.#fail('refused', 'vLLM sent words outside an utterance');
      case 'transcription.done':
        return this.#onDone(event.usage ?? undefined);
      case 'error':
        return this.#onError(event.code ?? 'unknown', event.error);
      case undefined:
        return this.#fail('refused', 'vLLM sent what is not an event of its protocol');
    }
  }

  #onDone(usage: VllmUsage | undefined): void {
    const listener = this.#listener;
    // A final that nobody sent, or of an utterance long gone: what follows cannot be trusted.
    if (this.#state !== 'finalising' || !listener)
      return this.#fail('refused', 'vLLM ended an utterance by itself');
    this.#state = 'idle';
    this.#listener = undefined;
    listener.onDone(usage);
  }

  #onError(code: string, message: string): void {
    if (this.#state === 'validating' && code === 'unknown_event') {
      this.#state = 'idle';
      return this.#settle(undefined);
    }
    this.#fail('refused', `vLLM: ${code}: ${message.slice(0, 200)}`);
  }

  #fail(cause: StreamFault['fault'], message: string): void {
    if (this.#state === 'closed') return this.#settle(new StreamFault('unreachable', message));
    const dialing = this.#state === 'validating';
    const listener = this.#listener;
    this.#shut();
    const fault = new StreamFault(dialing && cause === 'closed' ? 'unreachable' : cause, message);
    this.#settle(fault);
    listener?.onFault(fault);
  }

  #settle(fault: StreamFault | undefined): void {
    this.#settleDial?.(fault);
    this.#settleDial = undefined;
  }
}

/** Undefined for what is none. Deltas, a dozen a second for each talker, are not put through the schema. */
function parseServerEvent(text: string): VllmServerEvent | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { type, delta } = (value ?? {}) as { type?: unknown; delta?: unknown };
  if (type === 'transcription.delta' && typeof delta === 'string') return { type, delta };
  return VllmServerEvent.safeParse(value).data;
}
