import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { Charge } from '@voice-fleet/fleet/session-record';
import type { UsageLedger } from '@voice-fleet/fleet/sessions/usage-ledger';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';

/** Whose audio it is. */
export type MeteredSession = Omit<Charge, 'acceptedSamples'>;

/** So much audio of the session is booked now, and so much of its whole tenant on that UTC day (YYYY-MM-DD). */
export type OnCharged = (acceptedSamples: number, samplesToday: number, day: string) => void;

export interface MeterHandle {
  /** Audio accepted since the start of the session. Only notes the number; a lower one than before is none. */
  set(acceptedSamples: number): void;
  /** Books what is left. What Redis does not take now is booked later by the meter. `onCharged` is not called afterwards. */
  close(): Promise<void>;
}

export interface UsageMeterOptions {
  readonly ledger: Pick<UsageLedger, 'charge'>;
  readonly clock: Clock;
  readonly intervalMs?: number;
  /** Closed sessions whose last audio may wait for Redis; above, the oldest is given up. */
  readonly maxBacklog?: number;
  /** Hears of `UnbookedAudio`, and of faults other than `RedisUnavailable`. */
  readonly onError: (error: unknown) => void;
}

export const METER_INTERVAL_MS = 1_000;
export const MAX_BACKLOG = 10_000;

/** Audio that was accepted but will not be booked: Redis was away for too long. */
export class UnbookedAudio extends Error {
  override readonly name = 'UnbookedAudio';
  readonly session: MeteredSession;
  readonly samples: number;

  constructor(session: MeteredSession, samples: number) {
    super(`${samples} samples of session ${session.sessionId} were not booked`);
    this.session = session;
    this.samples = samples;
  }
}

interface Metered {
  readonly session: MeteredSession;
  onCharged: OnCharged | undefined;
  accepted: number;
  charged: number;
}

/** Books the audio of all sessions of one process: what has moved goes to the ledger once in an interval, in one batch. */
export class UsageMeter {
  readonly #ledger: UsageMeterOptions['ledger'];
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #maxBacklog: number;
  readonly #onError: (error: unknown) => void;
  readonly #open = new Set<Metered>();
  /** Closed, and not booked to their end. Oldest first. */
  readonly #backlog = new Set<Metered>();
  #timer: Timer | undefined;
  #stopped = false;
  #booking: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  /** A batch of closed sessions that waits for the one under way. */
  #closing: Promise<void> | undefined;
  #bookingClosed: Promise<void> | undefined;

  constructor(options: UsageMeterOptions) {
    this.#ledger = options.ledger;
    this.#clock = options.clock;
    this.#intervalMs = options.intervalMs ?? METER_INTERVAL_MS;
    this.#maxBacklog = options.maxBacklog ?? MAX_BACKLOG;
    this.#onError = options.onError;
  }

  /** Closed sessions whose last audio waits for Redis. */
  get backlog(): number {
    return this.#backlog.size;
  }

  start(): void {
    this.#timer ??= this.#clock.every(this.#intervalMs, () => {
      if (this.#booking === undefined) void this.#bookAll();
    });
  }

  /** Books all once more and ends. Whatever Redis does not take is told to `onError`. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#bookAll();
    for (const metered of this.#backlog) this.#giveUp(metered);
  }

  open(session: MeteredSession, onCharged: OnCharged): MeterHandle {
    const metered: Metered = { session, onCharged, accepted: 0, charged: 0 };
    this.#open.add(metered);
    return {
      set: (acceptedSamples) => {
        if (acceptedSamples > metered.accepted) metered.accepted = acceptedSamples;
      },
      close: () => this.#close(metered),
    };
  }

  async #close(metered: Metered): Promise<void> {
    if (!this.#open.delete(metered)) return;
    if (metered.accepted > metered.charged) {
      this.#backlog.add(metered);
      if (this.#backlog.size > this.#maxBacklog) this.#giveUpOldest();
      await this.#bookClosed();
      if (this.#stopped && this.#backlog.has(metered)) this.#giveUp(metered);
    }
    metered.onCharged = undefined;
  }

  /** Offers what closed sessions have left to the ledger, in one batch for all that close now; does not reject. */
  #bookClosed(): Promise<void> {
    if (this.#closing !== undefined) return this.#closing;
    const closing = Promise.all([this.#booking, this.#bookingClosed]).then(() => {
      this.#closing = undefined;
      this.#bookingClosed = this.#book([...this.#backlog]);
      return this.#bookingClosed;
    });
    this.#closing = closing;
    return closing;
  }

  /** Settles when all that was accepted before the call was offered to the ledger; does not reject. */
  #bookAll(): Promise<void> {
    if (this.#booking === undefined) {
      this.#booking = this.#book([...this.#open, ...this.#backlog]).finally(() => {
        this.#booking = undefined;
      });
      return this.#booking;
    }
    // The batch under way may have been made before; one behind it serves all who ask meanwhile.
    this.#next ??= this.#booking.then(() => {
      this.#next = undefined;
      return this.#bookAll();
    });
    return this.#next;
  }

  async #book(sessions: readonly Metered[]): Promise<void> {
    const moved = sessions.filter(({ accepted, charged }) => accepted > charged);
    if (moved.length === 0) return;
    const charges = moved.map(({ session, accepted }) => ({
      ...session,
      acceptedSamples: accepted,
    }));
    try {
      const bookings = await this.#ledger.charge(charges);
      for (const [index, { samplesToday, day }] of bookings.entries()) {
        const metered = moved[index];
        const charge = charges[index];
        if (metered === undefined || charge === undefined) continue;
        metered.charged = Math.max(metered.charged, charge.acceptedSamples);
        if (metered.charged === metered.accepted) this.#backlog.delete(metered);
        this.#tell(metered, samplesToday, day);
      }
    } catch (error) {
      if (!(error instanceof RedisUnavailable)) this.#onError(error);
    }
  }

  #tell({ onCharged, charged }: Metered, samplesToday: number, day: string): void {
    try {
      onCharged?.(charged, samplesToday, day);
    } catch (error) {
      this.#onError(error);
    }
  }

  #giveUpOldest(): void {
    for (const oldest of this.#backlog) return this.#giveUp(oldest);
  }

  #giveUp(metered: Metered): void {
    this.#backlog.delete(metered);
    this.#onError(new UnbookedAudio(metered.session, metered.accepted - metered.charged));
  }
}
