import { type BlobStore, RECORDINGS } from '@voice-fleet/jobs/blobs/blob-store';
import type { JobStore } from '@voice-fleet/jobs/job-store';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { Logger } from '@voice-fleet/telemetry/logger';

/** How often a gateway asks for a turn. */
const TICK_MS = 2_500;
/** A turn is not given back: there is one in this time, whoever takes it. */
const TURN_MS = 5_000;
const ORPHANS_TURN_MS = 3_600_000;
/** No upload takes so long, so nobody makes a job of it any more. */
const ORPHAN_AGE_MS = 86_400_000;
/** Looked at once. */
const BATCH = 100;
/** What the store of recordings does not remove is tried again so much later. */
const AGAIN_MS = 600_000;
/** Then the store is away, and all others would fail as well. */
const FAILURES_MAX = 3;

export const SWEPT = ['recording', 'job', 'orphan'] as const;
export type Swept = (typeof SWEPT)[number];

export interface JobSweeperDeps {
  readonly clock: Clock;
  readonly store: JobStore;
  readonly blobs: BlobStore;
  /** From the end of a job on. */
  readonly audioKeptMs: number;
  readonly keptMs: number;
  readonly onSwept: (what: Swept) => void;
  readonly log: Logger;
}

/**
 * Removes what is kept long enough: first the recording of a job, later its record with transcript and webhook; and recordings of
 * which no job was made. Every gateway has one, and they take turns. All that is done may be done twice.
 */
export class JobSweeper {
  readonly #deps: JobSweeperDeps;
  readonly #stop = new AbortController();
  #timer: Timer | undefined;
  #sweeping: Promise<void> | undefined;

  constructor(deps: JobSweeperDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#timer ??= this.#deps.clock.every(TICK_MS, () => {
      this.#sweeping ??= this.sweep()
        .catch((error: unknown) => this.#fault(error))
        .finally(() => {
          this.#sweeping = undefined;
        });
    });
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#stop.abort();
    await this.#sweeping;
  }

  /** Once, if it is this gateway's turn. Rejects with RedisUnavailable. */
  async sweep(): Promise<void> {
    const { store, clock } = this.#deps;
    const nowMs = Math.floor(clock.wallNow());
    if (await store.takeTurn('sweep', TURN_MS)) {
      const untilMs = clock.now() + TURN_MS / 2;
      const more = (): boolean => !this.#stop.signal.aborted && clock.now() < untilMs;
      await this.#recordings(nowMs, more);
      await this.#jobs(nowMs, more);
    }
    if (await store.takeTurn('orphans', ORPHANS_TURN_MS)) await this.#orphans(nowMs);
  }

  async #recordings(nowMs: number, more: () => boolean): Promise<void> {
    const { store, blobs, audioKeptMs, keptMs, onSwept, log } = this.#deps;
    // Never later than the record: without it nobody knew of the recording.
    const beforeMs = nowMs - Math.min(audioKeptMs, keptMs);
    let failures = 0;
    while (more()) {
      const ids = await store.withRecordings(beforeMs, BATCH);
      for (const id of ids) {
        if (!more()) return;
        const job = await store.get(id);
        if (!job) {
          await store.forget(id);
          continue;
        }
        try {
          await blobs.remove(job.audioKey);
        } catch (error) {
          log.warn({ event: 'recording_not_removed', job: id, err: error });
          // Others are not to wait behind it.
          await store.sweepLater(id, beforeMs + AGAIN_MS);
          failures += 1;
          if (failures === FAILURES_MAX) return;
          continue;
        }
        await store.recordingGone(id, job.endedAtMs ?? nowMs);
        onSwept('recording');
      }
      if (ids.length < BATCH) return;
    }
  }

  async #jobs(nowMs: number, more: () => boolean): Promise<void> {
    const { store, keptMs, onSwept } = this.#deps;
    while (more()) {
      const ids = await store.withoutRecordings(nowMs - keptMs, BATCH);
      for (const id of ids) {
        const job = await store.get(id);
        if (job) await store.delete(job);
        else await store.forget(id);
        if (job) onSwept('job');
      }
      if (ids.length < BATCH) return;
    }
  }

  async #orphans(nowMs: number): Promise<void> {
    const { store, blobs, onSwept, log } = this.#deps;
    try {
      await blobs.sweep(RECORDINGS, {
        beforeMs: nowMs - ORPHAN_AGE_MS,
        signal: this.#stop.signal,
        isKept: async (name) => (await store.state(name)) !== undefined,
        onRemoved: () => onSwept('orphan'),
      });
    } catch (error) {
      if (!this.#stop.signal.aborted) log.warn({ event: 'orphans_not_swept', err: error });
    }
  }

  #fault(error: unknown): void {
    this.#deps.log.warn({ event: 'job_sweep_fault', err: error });
  }
}
