import { YAP_QUERY } from '@voice-fleet/protocol/yap';
import type { ScriptedConnection, ScriptedYapFleet } from './scripted-yap-fleet.fixture.ts';
import { YapUnreachable } from './yap-errors.ts';
import { parseFrame, type YapDial, type YapSocketEvents } from './yap-socket.ts';

/** Lets all that only waits for promises happen. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

interface Closed {
  readonly close: { readonly code: number; readonly reason: string };
}

/** One connection in memory; frames wait on both ways until they are delivered. */
export class Wire {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly toServer: string[] = [];
  readonly toClient: (string | Closed)[] = [];
  server: ScriptedConnection | undefined;
  /** WebSocket pings that were not answered, as the server is frozen. */
  pings = 0;
  frozen = false;
  open = true;
  bufferedBytes = 0;
  readonly #events: YapSocketEvents;

  constructor(request: Parameters<YapDial>[0], events: YapSocketEvents) {
    this.url = request.url;
    this.headers = request.headers;
    this.#events = events;
  }

  greet(fleet: ScriptedYapFleet): void {
    if (!this.open) return;
    this.#events.onOpen();
    const token = this.headers['X-Resume-Token'];
    const lastSeq = Number(this.headers['X-Last-Seq'] ?? 0);
    this.server = fleet.accept(
      { token, lastSeq },
      {
        send: (text) => this.toClient.push(text),
        close: (code, reason) => this.toClient.push({ close: { code, reason } }),
      },
    );
  }

  refuse(): void {
    this.#events.onFault(new YapUnreachable('connect ECONNREFUSED'));
    this.#close(1006, '');
  }

  ping(): void {
    if (this.frozen) this.pings += 1;
    else void Promise.resolve().then(() => this.open && this.#events.onPong());
  }

  deliverUp(count = Number.POSITIVE_INFINITY): void {
    for (let i = 0; i < count && this.open && !this.frozen && this.toServer.length > 0; i++) {
      this.server?.receive(this.toServer.shift() ?? '');
    }
  }

  deliverDown(count = Number.POSITIVE_INFINITY): void {
    for (let i = 0; i < count && this.open && this.toClient.length > 0; i++) {
      const next = this.toClient.shift() ?? '';
      if (typeof next === 'string') this.#events.onFrame(parseFrame(next, false));
      else this.#close(next.close.code, next.close.reason);
    }
  }

  /** The network is gone: what is under way, either way, is lost. */
  cut(): void {
    this.#close(1006, '');
  }

  /** By the client. */
  drop(code: number): void {
    void Promise.resolve().then(() => {
      if (this.open) this.server?.lost();
      this.#close(code, '');
    });
  }

  #close(code: number, reason: string): void {
    if (!this.open) return;
    this.open = false;
    this.#events.onClose({ code, reason });
  }
}

/** A network in memory to one scripted fleet. */
export class MemoryNet {
  readonly wires: Wire[] = [];
  /** Nobody listens. */
  down = false;
  readonly #fleet: ScriptedYapFleet;

  constructor(fleet: ScriptedYapFleet) {
    this.#fleet = fleet;
  }

  readonly dial: YapDial = (request, events) => {
    const wire = new Wire(request, events);
    this.wires.push(wire);
    const { down } = this;
    void Promise.resolve().then(() => (down ? wire.refuse() : wire.greet(this.#fleet)));
    return {
      get bufferedBytes() {
        return wire.bufferedBytes;
      },
      send: (data) => void wire.toServer.push(String(data)),
      ping: () => wire.ping(),
      close: (code) => wire.drop(code),
      terminate: () => wire.drop(1006),
    };
  };

  /** The connection in use. */
  get wire(): Wire {
    const wire = this.wires.at(-1);
    if (wire === undefined) throw new Error('Nothing was dialled.');
    return wire;
  }

  /** Delivers and saves until nothing moves any more. */
  async flow(rounds = 6): Promise<void> {
    for (let i = 0; i < rounds; i++) {
      await settle();
      this.wire.deliverUp();
      this.wire.server?.save();
      this.wire.deliverDown();
    }
    await settle();
  }
}

/** Query parameters and headers of a dial that say how. */
export function asked(wire: Wire): Record<string, string | null> {
  const { searchParams } = wire.url;
  return {
    resumable: searchParams.get(YAP_QUERY.resumable),
    wait: searchParams.get(YAP_QUERY.wait),
    token: wire.headers['X-Resume-Token'] ?? searchParams.get(YAP_QUERY.resumeToken),
    lastSeq: wire.headers['X-Last-Seq'] ?? searchParams.get(YAP_QUERY.lastSeq),
  };
}
