import { randomBytes } from 'node:crypto';
import type { SessionSave } from '@voice-fleet/fleet/session-record';
import type { SessionHolder, SessionStore } from '@voice-fleet/fleet/sessions/session-store';
import type { Redis } from 'ioredis';

/**
 * How a call fares. `request-lost` never reaches Redis, `reply-lost` does, `twice` does so two times, and `late` is under way
 * until `FaultyRedis.arrive`, long after its caller has given it up.
 */
export const FATES = ['ok', 'request-lost', 'reply-lost', 'twice', 'late'] as const;
export type Fate = (typeof FATES)[number];

/** A connection on which the script calls of sessions fare as told. `Label` says what a call was for, when it reaches Redis. */
export class FaultyRedis<Label> {
  readonly client: Redis;
  readonly #onRun: (label: Label, reply: unknown) => void;
  #late: (() => Promise<unknown>)[] = [];
  #next: { fate: Fate; label: Label } | undefined;

  constructor(redis: Redis, onRun: (label: Label, reply: unknown) => void) {
    this.#onRun = onRun;
    this.client = new Proxy(redis, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name);
        if (typeof name !== 'string' || !name.startsWith('vf:session:')) return value;
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) =>
          this.#call(() => Reflect.apply(value, target, args) as Promise<unknown>);
      },
    });
  }

  /** `act` may make one call of a script, and others to find out the day. */
  async with<T>(fate: Fate, label: Label, act: () => Promise<T>): Promise<T> {
    this.#next = { fate, label };
    try {
      return await act();
    } finally {
      this.#next = undefined;
    }
  }

  /** Lets calls that are under way reach Redis, the last one first. */
  async arrive(): Promise<void> {
    for (const run of this.#late.splice(0).reverse()) await run();
  }

  async #call(run: () => Promise<unknown>): Promise<unknown> {
    if (this.#next === undefined) return run();
    const { fate, label } = this.#next;
    const timedOut = new Error('Command timed out');
    const reach = async (): Promise<unknown> => {
      const reply = await run();
      // The answer to a wrong day; the call comes again.
      if (!Array.isArray(reply) || reply[0] !== 'day') this.#onRun(label, reply);
      return reply;
    };
    if (fate === 'request-lost') throw timedOut;
    if (fate === 'late') {
      this.#late.push(reach);
      throw timedOut;
    }
    const reply = await reach();
    if (Array.isArray(reply) && reply[0] === 'day') return reply;
    if (fate === 'reply-lost') throw timedOut;
    return fate === 'twice' ? reach() : reply;
  }
}

export interface Identity {
  readonly sessionId: string;
  readonly tenantId: string;
  readonly keyId: string;
}

export function newSession(over: Partial<Identity> = {}): Identity {
  const id = randomBytes(8).toString('hex');
  return { sessionId: `sess_${id}`, tenantId: `t-${id}`, keyId: 'key', ...over };
}

/** What a connection that holds a session passes to `save`. */
export function holderOf(
  { tenantId, keyId }: Identity,
  token: string,
  leaseToken?: string,
): SessionHolder {
  return { tenantId, keyId, token, leaseToken };
}

export function saveOf(sessionId: string, over: Partial<SessionSave> = {}): SessionSave {
  return {
    sessionId,
    owner: 1,
    seq: over.frames?.length ?? 0,
    frames: [],
    state: '{}',
    text: { atChar: 0, append: '' },
    acceptedSamples: 0,
    confirmed: true,
    ...over,
  };
}

/** A session that was opened; its first save is yet to come. */
export async function opened(
  store: SessionStore,
  over: Partial<Identity> = {},
): Promise<{ session: Identity; token: string; holder: SessionHolder }> {
  const session = newSession(over);
  const { token } = await store.open(session);
  return { session, token, holder: holderOf(session, token) };
}
