import { VoiceError } from '@voice-fleet/protocol/errors';
import { backoffMs } from '@voice-fleet/runtime/backoff';
import type { Clock } from '@voice-fleet/runtime/clock';
import { NO_WORKERS } from './failover.ts';
import type { Link, LinkListener, LinkRequest, Route } from './link.ts';

const RETRY_BASE_MS = 100;
const RETRY_CAP_MS = 5_000;
/** A link that lived this long was sound: its loss is not answered with a pause. */
const SOUND_MS = 5_000;
/** For so long a session waits for another worker than the one that could not go on with it. */
const LEAVE_MS = 30_000;
/** For one stay in the line: then other workers may have come up. */
const LINE_MS = 10_000;

export const MOVE_CAUSES = [
  'lost',
  'engine_failed',
  'stalled',
  'draining',
  'resumed',
  'wished',
] as const;
/** Why a session goes to another worker; `resumed`: it comes from another connection; `wished`: for that one's delay. */
export type MoveCause = (typeof MOVE_CAUSES)[number];

type Draining = Parameters<LinkListener['onDraining']>[0];

export interface HolderListener extends LinkListener {
  /** A new link is there, `tookMs` after the reason for it. What was open on the last one must be started on it. */
  onLinked(link: Link, cause: MoveCause, tookMs: number): void;
  /** No link was to be had; it is tried again. */
  onRefused(error: VoiceError): void;
}

export interface LinkHolderDeps {
  readonly clock: Clock;
  readonly route: Route;
  readonly listener: HolderListener;
}

/** Keeps a session linked: opens its first link, and looks for another when that is lost or should be left, until closed. */
export class LinkHolder {
  readonly #deps: LinkHolderDeps;
  readonly #closed = new AbortController();
  #link: Link | undefined;
  /** Why the present link should be left. */
  #draining: () => Draining | undefined = () => undefined;
  /** Settles when the search under way is over, and every link left is closed. */
  #busy: Promise<unknown> = Promise.resolve();
  #searching = false;
  /** Why it is searched, the last reason counting. */
  #cause: MoveCause = 'lost';
  #avoid: string | undefined;
  /** A worker that is there but cannot go on with this session. */
  #useless: string | undefined;
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
  open(request: Pick<LinkRequest, 'waitMs' | 'onPosition'>): Promise<void> {
    const opened = this.#connect(request).then(() => this.#tellDraining());
    this.#after(opened);
    return opened;
  }

  /** Looks for the first link of a session that was admitted before. Throws when closed. */
  resume(): void {
    this.#closed.signal.throwIfAborted();
    this.#search('resumed');
  }

  /** Somebody needs a link now: a pause between two attempts ends. */
  hurry(): void {
    this.#wake?.();
  }

  /** The present link is of no use any more. */
  leave(cause: MoveCause): void {
    const link = this.#link;
    if (link === undefined) return;
    this.#link = undefined;
    this.#useless = link.workerId;
    this.#after(link.close());
    this.#search(cause, link);
  }

  /** Looks for another link while the present one works on. */
  move(cause: MoveCause): void {
    if (this.#link !== undefined && !this.#searching) this.#search(cause);
  }

  /**
   * Goes to a worker with a delay as near to this one as there is, if it has a free slot. Settles with the delay of the worker
   * that the session then has, where it is known. Does not reject.
   */
  async wish(delayMs: number): Promise<number | undefined> {
    const { route, clock } = this.#deps;
    const farther = await route.wish?.(delayMs);
    if (farther && this.#link && !this.#searching && !this.#closed.signal.aborted) {
      this.#searching = true;
      this.#cause = 'wished';
      const tried = this.#tryWished(this.#link, clock.now());
      this.#after(tried);
      await tried;
    }
    return route.delayMs;
  }

  /** Settles when the slot is given back, whatever was under way. */
  async close(): Promise<void> {
    this.#closed.abort(new Error('session closed'));
    this.#wake?.();
    const link = this.#link;
    this.#link = undefined;
    await Promise.all([this.#busy, link?.close()]);
    await this.#deps.route.release();
  }

  #after(work: Promise<unknown>): void {
    this.#busy = Promise.allSettled([this.#busy, work]).then(() => undefined);
  }

  async #connect(request: Omit<LinkRequest, 'listener' | 'signal'>): Promise<Link> {
    const { route, clock, listener } = this.#deps;
    const { signal } = this.#closed;
    let link: Link | undefined;
    let lost: string | undefined;
    let draining: Draining | undefined;
    const present = (): boolean => link !== undefined && this.#link === link;
    // What a link that was left still says is about nothing.
    const own: LinkListener = {
      onUtterance: (event) => present() && listener.onUtterance(event),
      onSettled: (sample) => present() && listener.onSettled(sample),
      onTaken: (sample, workMs) => present() && listener.onTaken(sample, workMs),
      onStalled: () => present() && listener.onStalled(),
      onCongestion: (clogged) => present() && listener.onCongestion(clogged),
      onDraining: (cause) => {
        if (draining !== 'stopping') draining = cause;
        if (present()) this.#tellDraining();
      },
      onLost: (cause) => {
        lost = cause;
        if (link !== undefined && present()) this.#lose(link, cause);
      },
    };
    link = await route.connect({ ...request, listener: own, signal });
    if (signal.aborted) {
      await link.close();
      throw signal.reason;
    }
    // It may have gone before anyone could use it.
    if (lost !== undefined) throw new VoiceError('fleet_unavailable', { cause: lost });
    if (this.#link !== undefined) this.#after(this.#link.close());
    this.#link = link;
    this.#draining = () => draining;
    this.#linkedMs = clock.now();
    return link;
  }

  /** Its worker may have said so while the link was being opened. */
  #tellDraining(): void {
    const cause = this.#draining();
    if (this.#link !== undefined && cause !== undefined) this.#deps.listener.onDraining(cause);
  }

  #lose(link: Link, cause: string): void {
    this.#link = undefined;
    this.#deps.listener.onLost(cause);
    this.#search('lost', link);
  }

  /** `left`: a link that is of no use any more. */
  #search(cause: MoveCause, left?: Link): void {
    if (this.#closed.signal.aborted) return;
    this.#cause = cause;
    this.#avoid = left?.workerId;
    if (this.#searching) return this.hurry();
    this.#searching = true;
    if (this.#deps.clock.now() - this.#linkedMs >= SOUND_MS) this.#failures = 0;
    const found = this.#find(this.#deps.clock.now()).finally(() => {
      this.#searching = false;
      this.#wake = undefined;
      this.#tellDraining();
    });
    this.#after(found);
  }

  async #find(sinceMs: number): Promise<void> {
    const { clock, listener } = this.#deps;
    const { signal } = this.#closed;
    while (!signal.aborted) {
      if (this.#failures > 0)
        await this.#pause(backoffMs(this.#failures - 1, RETRY_BASE_MS, RETRY_CAP_MS));
      this.#failures += 1;
      if (signal.aborted) return;
      // A worker just left is passed over once: it may be the only one, and may be back.
      const avoid = this.#avoid;
      this.#avoid = undefined;
      const leave = this.#link?.workerId ?? this.#useless;
      // Whether there is another is to be known at once when one is in trouble: should it be lost, that decides.
      const asks =
        avoid !== undefined || (this.#link !== undefined && this.#cause === 'engine_failed');
      try {
        const link = await this.#connect({
          waitMs: asks ? 0 : LINE_MS,
          ...(leave !== undefined && { leave }),
          ...(avoid !== undefined && { avoid }),
        });
        this.#useless = undefined;
        return listener.onLinked(link, this.#cause, clock.now() - sinceMs);
      } catch (thrown) {
        if (signal.aborted) return;
        const error =
          thrown instanceof VoiceError
            ? thrown
            : new VoiceError('fleet_unavailable', { cause: thrown });
        // Better that one than none, in the end.
        const late = clock.now() - sinceMs >= LEAVE_MS;
        if (late || error.details['reason'] === NO_WORKERS) this.#useless = undefined;
        listener.onRefused(error);
      }
    }
  }

  /** Once; the present link works on meanwhile, and stays if there is no other. */
  async #tryWished(present: Link, sinceMs: number): Promise<void> {
    const { route, clock, listener } = this.#deps;
    const request = { waitMs: 0, leave: present.workerId, onlyWished: true };
    const link = await this.#connect(request).catch(() => undefined);
    this.#searching = false;
    if (link !== undefined) listener.onLinked(link, this.#cause, clock.now() - sinceMs);
    // Lost meanwhile, or its slot was given up for another whose worker would not have the session.
    else if (this.#link === undefined || route.workerId !== present.workerId)
      this.#search(this.#cause);
    this.#tellDraining();
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
