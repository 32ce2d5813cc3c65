import { VoiceError } from '@voice-fleet/protocol/errors';
import { backoffMs } from '@voice-fleet/runtime/backoff';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { ConnectLink, Link, LinkListener } from './link.ts';

const RETRY_BASE_MS = 100;
const RETRY_CAP_MS = 5_000;
/** A link that lived this long was sound: its loss is not answered with a pause. */
const SOUND_MS = 5_000;

export interface LinkHolderDeps {
  readonly sessionId: string;
  readonly clock: Clock;
  readonly connect: ConnectLink;
  readonly listener: LinkListener;
}

/** Keeps a session linked: opens its first link, and after a loss looks for another until there is one or it is closed. */
export class LinkHolder {
  readonly #deps: LinkHolderDeps;
  readonly #closed = new AbortController();
  #link: Link | undefined;
  #busy: Promise<void> = Promise.resolve();
  #linkedMs = 0;
  #failures = 0;
  #wake: (() => void) | undefined;

  constructor(deps: LinkHolderDeps) {
    this.#deps = deps;
  }

  /** Absent while there is none. */
  get link(): Link | undefined {
    return this.#link;
  }

  /** Opens the first link. Rejects with VoiceError when there is none, or when closed meanwhile. */
  open(): Promise<void> {
    const opened = this.#connect();
    this.#busy = opened.catch(() => undefined);
    return opened;
  }

  /** Somebody needs a link now: a pause between two attempts ends. */
  hurry(): void {
    this.#wake?.();
  }

  /** Settles when the slot is given back, whatever was under way. */
  async close(): Promise<void> {
    this.#closed.abort(new Error('session closed'));
    this.#wake?.();
    await this.#busy;
    const link = this.#link;
    this.#link = undefined;
    await link?.close();
  }

  async #connect(avoid?: string): Promise<void> {
    const { connect, sessionId, clock, listener } = this.#deps;
    const { signal } = this.#closed;
    let link: Link | undefined;
    let lost: string | undefined;
    const own: LinkListener = {
      onUtterance: (event) => listener.onUtterance(event),
      onStalled: () => listener.onStalled(),
      onCongestion: (clogged) => listener.onCongestion(clogged),
      onLost: (cause) => {
        lost = cause;
        if (link !== undefined && this.#link === link) this.#lose(link, cause);
      },
    };
    link = await connect({ sessionId, listener: own, signal, ...(avoid ? { avoid } : {}) });
    if (signal.aborted) {
      await link.close();
      throw signal.reason;
    }
    // It may have gone before anyone could use it.
    if (lost !== undefined) throw new VoiceError('fleet_unavailable', { cause: lost });
    this.#link = link;
    this.#linkedMs = clock.now();
  }

  #lose(link: Link, cause: string): void {
    this.#link = undefined;
    if (this.#deps.clock.now() - this.#linkedMs >= SOUND_MS) this.#failures = 0;
    this.#busy = this.#relink(link.workerId);
    this.#deps.listener.onLost(cause);
  }

  async #relink(avoid: string): Promise<void> {
    const { signal } = this.#closed;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      if (this.#failures > 0)
        await this.#pause(backoffMs(this.#failures - 1, RETRY_BASE_MS, RETRY_CAP_MS));
      this.#failures += 1;
      if (signal.aborted) return;
      try {
        // The worker just lost is passed over once; it may be the only one, and may be back.
        return await this.#connect(attempt === 0 ? avoid : undefined);
      } catch {
        // Told in the log of the router; what counts here is to go on.
      }
    }
  }

  async #pause(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#deps.clock.after(delayMs, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#wake = undefined;
  }
}
