import type { Dialect } from '@voice-fleet/gateway/dialects/dialect';
import type { ClientCommand, SessionEvent } from '@voice-fleet/protocol/session';
import { frames } from '@voice-fleet/testkit/coded-speech';
import { WebSocket } from 'ws';
import { until } from './until.ts';

const PATH = '/plain-listen';

/** What the pipeline of listening sessions takes and tells, as it is: commands and events as JSON, audio as binary frames. */
export const plainListenDialect: Dialect = {
  name: 'plain-listen',
  paths: [PATH],
  admission: 'socket',
  pipeline: 'listen',
  handshake: (query) => ({
    apiKey: query.get('api_key') ?? '',
    resumable: false,
    acks: false,
    waitMs: 0,
  }),
  codec: () => ({
    decode: (data, isBinary) =>
      isBinary
        ? { kind: 'audio', utteranceId: undefined, pcm: data }
        : (JSON.parse(String(data)) as ClientCommand),
    encode: (event) => [
      JSON.stringify(event, (key, value) => (key === 'error' ? { code: value.code } : value)),
    ],
    close: ({ kind }) => ({ code: 1000, reason: kind }),
  }),
};

type EventOf<K extends SessionEvent['kind']> = Extract<SessionEvent, { kind: K }>;

/** A client of it. */
export class PlainListener {
  readonly events: SessionEvent[] = [];
  readonly closed: Promise<string>;
  readonly #socket: WebSocket;

  constructor(port: number, key: string) {
    this.#socket = new WebSocket(`ws://127.0.0.1:${port}${PATH}?api_key=${key}`);
    this.#socket.on('message', (data) =>
      this.events.push(JSON.parse(String(data)) as SessionEvent),
    );
    this.#socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      this.#socket.once('close', (_code, reason) => resolve(String(reason)));
    });
  }

  terminate(): void {
    this.#socket.terminate();
  }

  send(command: ClientCommand): void {
    this.#socket.send(JSON.stringify(command));
  }

  /** In frames of 80 ms, all at once. */
  speak(pcm: Buffer): void {
    for (const frame of frames(pcm)) this.#socket.send(frame);
  }

  of<K extends SessionEvent['kind']>(kind: K): EventOf<K>[] {
    return this.events.filter((event): event is EventOf<K> => event.kind === kind);
  }

  /** The `nth` event of its kind, from 0, as soon as it is there. */
  async next<K extends SessionEvent['kind']>(kind: K, nth = 0): Promise<EventOf<K>> {
    await until(() => this.of(kind).length > nth, `there is ${kind} number ${nth}`);
    const event = this.of(kind)[nth];
    if (event === undefined) throw new Error(kind);
    return event;
  }
}
