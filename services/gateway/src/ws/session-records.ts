import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { ResumedSession } from '@voice-fleet/fleet/session-record';
import type { SessionHolder, SessionStore } from '@voice-fleet/fleet/sessions/session-store';
import type { Principal } from '@voice-fleet/fleet/tenant';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { ResumeOffer } from '@voice-fleet/protocol/session';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { Logger } from '@voice-fleet/telemetry/logger';
import { z } from 'zod';
import type { DialectCodec } from '../dialects/dialect.ts';
import type { GatewayMetrics } from '../metrics.ts';
import type { WorkerRoute } from '../routing/worker-route.ts';
import type { Session } from '../session/session.ts';
import { SessionSnapshot } from '../session/snapshot.ts';
import { Journal, type JournalDeps } from './journal.ts';

/** What is saved of a session besides its frames and its text. */
const SavedState = z.object({ session: SessionSnapshot, codec: z.unknown() });

export interface SessionRecordsDeps {
  readonly store: SessionStore;
  readonly clock: Clock;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
}

/** A session found in Redis, that this connection goes on with. */
export interface ResumedRecord {
  readonly sessionId: string;
  readonly snapshot: SessionSnapshot;
  readonly text: string;
  readonly acceptedSamples: number;
  readonly leaseToken: string | undefined;
  /** Makes it this connection's own. */
  own(route: WorkerRoute): SessionRecord;
}

/** What a journal needs of its connection. */
export interface JournalOwner
  extends Pick<JournalDeps, 'send' | 'confirmed' | 'onSaved' | 'onFenced'> {
  readonly codec: DialectCodec;
  readonly session: Session;
}

/** Redis' part of the sessions that clients may resume. Throws VoiceError. */
export class SessionRecords {
  readonly #deps: SessionRecordsDeps;

  constructor(deps: SessionRecordsDeps) {
    this.#deps = deps;
  }

  async open(sessionId: string, principal: Principal, route: WorkerRoute): Promise<SessionRecord> {
    const { tenantId, keyId } = principal;
    const { token } = await orUnavailable(this.#deps.store.open({ sessionId, tenantId, keyId }));
    return new SessionRecord({ sessionId, owner: 1, token, principal, route }, this.#deps);
  }

  /** Uses the token up. */
  async resume(token: string, principal: Principal, lastSeq: number): Promise<ResumedRecord> {
    const { store, log } = this.#deps;
    const found = await orUnavailable(store.resume(token, principal.tenantId, lastSeq));
    if (found.kind === 'refused') {
      log.info({ event: 'resume_refused', reason: found.reason, tenant: principal.tenantId });
      throw new VoiceError('resume_refused');
    }
    const { sessionId, owner, text, leaseToken, acceptedSamples } = found.session;
    const saved = SavedState.safeParse(JSON.parse(found.session.state || 'null'));
    if (!saved.success) throw new VoiceError('resume_refused', { cause: saved.error });
    const { session: snapshot, codec } = saved.data;
    const own = (route: WorkerRoute): SessionRecord =>
      new SessionRecord(
        { sessionId, owner, token: found.session.token, principal, route },
        this.#deps,
        { ...found.session, codec, utterance: snapshot.utterance?.number ?? 0 },
      );
    return { sessionId, snapshot, text, acceptedSamples, leaseToken, own };
  }
}

interface RecordIdentity {
  readonly sessionId: string;
  readonly owner: number;
  readonly token: string;
  readonly principal: Principal;
  readonly route: WorkerRoute;
}

/** One connection's hold on the record of its session. */
export class SessionRecord {
  readonly offer: ResumeOffer;
  /** Of a session that was begun elsewhere: frames that its client has not got, and what the codec must know. */
  readonly resumed: (ResumedSession & { codec: unknown; utterance: number }) | undefined;
  readonly #identity: RecordIdentity;
  readonly #deps: SessionRecordsDeps;

  constructor(
    identity: RecordIdentity,
    deps: SessionRecordsDeps,
    resumed?: ResumedSession & { codec: unknown; utterance: number },
  ) {
    this.#identity = identity;
    this.#deps = deps;
    this.resumed = resumed;
    this.offer = { token: identity.token, ttlMs: deps.store.ttlMs };
  }

  /** Starts writing down what goes out. */
  journal({ codec, session, ...owner }: JournalOwner): Journal {
    const { sessionId, owner: number, token, principal, route } = this.#identity;
    const { tenantId, keyId } = principal;
    const { store, clock, metrics, log } = this.#deps;
    const { resumed } = this;
    const journal: JournalDeps = {
      ...owner,
      clock,
      number: (frame, seq) => codec.numbered?.(frame, seq) ?? frame,
      describe: () => ({
        state: JSON.stringify({ session: session.snapshot(), codec: codec.memory?.() }),
        transcript: session.transcript,
        acceptedSamples: session.recordedSamples,
        keep: session.keep,
      }),
      save: async (save) => {
        const stop = metrics.journalSaveSeconds.startTimer();
        const holder: SessionHolder = { tenantId, keyId, token, leaseToken: route.leaseToken };
        const result = await store.save({ ...save, sessionId, owner: number }, holder);
        stop();
        return result;
      },
      onError: (error) => log.error({ event: 'journal_fault', sid: sessionId, err: error }),
    };
    const started = new Journal(
      journal,
      resumed && {
        seq: resumed.seq,
        transcript: { utterance: resumed.utterance, text: resumed.text },
      },
    );
    // The worker may have been lost to the connection that goes on with the session.
    route.mayMove = () => started.check();
    return started;
  }

  /** Nobody can resume the session any more. Does not reject: the record ends with its TTL. */
  async end(): Promise<void> {
    const { sessionId, owner } = this.#identity;
    try {
      await this.#deps.store.end(sessionId, owner);
    } catch (error) {
      if (!(error instanceof RedisUnavailable))
        this.#deps.log.error({ event: 'journal_fault', sid: sessionId, err: error });
    }
  }
}

async function orUnavailable<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (!(error instanceof RedisUnavailable)) throw error;
    throw new VoiceError('fleet_unavailable', { cause: error });
  }
}
