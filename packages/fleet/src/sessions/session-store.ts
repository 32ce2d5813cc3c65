import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { ResumedSession, SaveResult, SessionSave } from '../session-record.ts';
import { hashToken, newResumeToken, sessionOfToken } from './resume-token.ts';
import { chargedKey, type SessionKeys, sessionKeys, usageKey } from './session-keys.ts';
import { SessionScripts } from './session-scripts.ts';
import { dayName } from './utc-day.ts';

export interface SessionStoreOptions {
  /** Sessions of one fleet cannot be resumed in another, for their leases cannot be moved there. */
  readonly fleet?: string;
  /** How long a session can be resumed after its connection's last `save`. */
  readonly ttlMs?: number;
  /** Frames kept for clients that missed them; the oldest go first. */
  readonly maxFrames?: number;
  /** The same in bytes. A single larger frame is kept. */
  readonly maxFrameBytes?: number;
}

export const SESSION_TTL_MS = 60_000;
export const MAX_FRAMES = 1_024;
export const MAX_FRAME_BYTES = 1_048_576;

/** Whose session it is, and what goes with the connection that holds it. */
export interface SessionHolder {
  readonly tenantId: string;
  readonly keyId: string;
  /** From `open` or `resume`: good for the next resume. */
  readonly token: string;
  /** The lease that the session holds now. */
  readonly leaseToken: string | undefined;
}

/**
 * Why a session cannot be resumed; for logs and metrics only, a client learns no more than that it cannot. `unknown`: no such
 * session or token, or its time is over, or Redis has lost it.
 */
export const RESUME_REFUSALS = [
  'malformed',
  'unknown',
  'used',
  'ended',
  'wrong_tenant',
  'seq_ahead',
  'frames_gone',
] as const;
export type ResumeRefusal = (typeof RESUME_REFUSALS)[number];

export type Resumption =
  | { readonly kind: 'resumed'; readonly session: ResumedSession }
  | { readonly kind: 'refused'; readonly reason: ResumeRefusal };

const SaveReply = z.enum(['saved', 'fenced', 'text_missing']);
const RefusedReply = z.tuple([z.literal('refused'), z.enum(RESUME_REFUSALS)]);
/** owner, key id, seq, state, accepted samples, lease token, text, frames. */
const ResumedReply = z.tuple(
  [z.literal('resumed'), z.int(), z.string(), z.int(), z.string(), z.int(), z.string(), z.string()],
  z.string(),
);
const ResumeReply = z.union([RefusedReply, ResumedReply]);

/** Sessions that outlive their connection, in Redis. Every method may throw `RedisUnavailable`. */
export class SessionStore {
  /** Numbers the saves of this process, for one that is overtaken on its way, after its caller has given it up, to be known. */
  static #saves = 0;
  readonly ttlMs: number;
  readonly #fleet: string;
  readonly #maxFrames: number;
  readonly #maxFrameBytes: number;
  readonly #scripts: SessionScripts;

  constructor(redis: Redis, options: SessionStoreOptions = {}) {
    this.ttlMs = options.ttlMs ?? SESSION_TTL_MS;
    this.#fleet = options.fleet ?? 'default';
    this.#maxFrames = options.maxFrames ?? MAX_FRAMES;
    this.#maxFrameBytes = options.maxFrameBytes ?? MAX_FRAME_BYTES;
    this.#scripts = new SessionScripts(redis);
  }

  /** Makes a new session resumable; its owner is number 1. `sessionId`: letters, digits, '_' and '-', at most 128. */
  async open(session: {
    readonly sessionId: string;
    readonly tenantId: string;
    readonly keyId: string;
  }): Promise<{ readonly token: string }> {
    const { sessionId, tenantId, keyId } = session;
    const token = newResumeToken(sessionId);
    if (sessionOfToken(token) === undefined) throw new RangeError(`session id ${sessionId}`);
    await this.#run('open', sessionId, hashToken(token), tenantId, keyId, this.ttlMs);
    return { token };
  }

  /**
   * Writes down all since the last save, and books the audio. One save of a session at a time, from one process. After `RedisUnavailable` it may
   * have been done or not: save the same again, with what has come since. What Redis has lost is created anew.
   */
  async save(save: SessionSave, holder: SessionHolder): Promise<SaveResult> {
    const { sessionId, text } = save;
    // Older ones would be dropped at once.
    const frames = save.frames.slice(-this.#maxFrames);
    SessionStore.#saves += 1;
    const { reply } = await this.#scripts.runToday(
      'save',
      (today) => [
        ...this.#keys(sessionId),
        chargedKey(sessionId),
        usageKey(holder.tenantId, dayName(today)),
      ],
      [
        save.owner,
        SessionStore.#saves,
        hashToken(holder.token),
        holder.tenantId,
        holder.keyId,
        holder.leaseToken ?? '',
        save.acceptedSamples,
        text.atChar,
        text.append.length,
        insideJson(text.append),
        save.state,
        save.seq,
        this.ttlMs,
        this.#maxFrames,
        this.#maxFrameBytes,
        save.confirmed ? 1 : 0,
        ...frames,
      ],
    );
    return SaveReply.parse(reply);
  }

  /**
   * Hands the session to a new owner, in one step; from then on the owner before is fenced, and `token` is of use only to a
   * client that never got the next one, as its gateway or its network died first: it can be used again until the new owner has
   * saved with `confirmed`. So of many who use one token only the last can go on.
   */
  async resume(token: string, tenantId: string, lastSeq: number): Promise<Resumption> {
    const sessionId = sessionOfToken(token);
    if (sessionId === undefined || !Number.isSafeInteger(lastSeq) || lastSeq < 0)
      return { kind: 'refused', reason: 'malformed' };
    const next = newResumeToken(sessionId);
    const reply = ResumeReply.parse(
      await this.#run(
        'resume',
        sessionId,
        hashToken(token),
        tenantId,
        lastSeq,
        hashToken(next),
        this.ttlMs,
      ),
    );
    if (reply[0] === 'refused') return { kind: 'refused', reason: reply[1] };
    const [, owner, keyId, seq, state, acceptedSamples, lease, text, ...frames] = reply;
    const session = {
      sessionId,
      owner,
      keyId,
      token: next,
      seq,
      frames,
      state,
      text: z.string().parse(JSON.parse(`"${text}"`)),
      acceptedSamples,
      leaseToken: lease === '' ? undefined : lease,
    };
    return { kind: 'resumed', session };
  }

  /** Ends the session: nobody can resume it. False when it was resumed by another connection, which goes on. */
  async end(sessionId: string, owner: number): Promise<boolean> {
    return (await this.#run('end', sessionId, owner, this.ttlMs)) === 1;
  }

  #run(
    name: 'open' | 'resume' | 'end',
    sessionId: string,
    ...args: (string | number)[]
  ): Promise<unknown> {
    return this.#scripts.run(name, this.#keys(sessionId), args);
  }

  #keys(sessionId: string): string[] {
    const { record, frames, text }: SessionKeys = sessionKeys(this.#fleet, sessionId);
    return [record, frames, text];
  }
}

/** Text as it stands between the quotes of JSON: parts put together make the whole even if a surrogate pair was cut. */
function insideJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
