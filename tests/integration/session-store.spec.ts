import { describe, expect, it } from '@jest/globals';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { ResumedSession } from '@voice-fleet/fleet/session-record';
import { newResumeToken } from '@voice-fleet/fleet/sessions/resume-token';
import { sessionKeys } from '@voice-fleet/fleet/sessions/session-keys';
import { SessionStore, type SessionStoreOptions } from '@voice-fleet/fleet/sessions/session-store';
import { UsageLedger } from '@voice-fleet/fleet/sessions/usage-ledger';
import { startRedis } from '@voice-fleet/testkit/redis';
import fc from 'fast-check';
import {
  atOnce,
  connect,
  connections,
  fleet,
  ready,
  redis,
  SHORT_MS,
  until,
} from '../support/pool.ts';
import { holderOf, opened, saveOf } from './session-store.fixture.ts';

function storeOf(options: Partial<SessionStoreOptions> = {}, connection = redis): SessionStore {
  return new SessionStore(connection, { fleet, ...options });
}

async function resumed(
  store: SessionStore,
  ...args: Parameters<SessionStore['resume']>
): Promise<ResumedSession> {
  const answer = await store.resume(...args);
  if (answer.kind === 'refused') throw new Error(`refused: ${answer.reason}`);
  return answer.session;
}

async function reason(
  store: SessionStore,
  ...args: Parameters<SessionStore['resume']>
): Promise<string> {
  const answer = await store.resume(...args);
  return answer.kind === 'refused' ? answer.reason : answer.kind;
}

const names = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `f${from + index}`);

describe('resume', () => {
  it('brings back all that was saved, to another gateway', async () => {
    const { session, token, holder } = await opened(storeOf());
    const { sessionId, tenantId } = session;
    const first = saveOf(sessionId, {
      frames: ['f1', 'f2'],
      text: { atChar: 0, append: 'one' },
      acceptedSamples: 100,
    });
    await storeOf().save(first, { ...holder, leaseToken: 'lease-1' });
    const second = saveOf(sessionId, {
      seq: 3,
      frames: ['f3'],
      state: '{"n":2}',
      text: { atChar: 3, append: ' two' },
      acceptedSamples: 250,
    });
    expect(await storeOf().save(second, { ...holder, leaseToken: 'lease-2' })).toBe('saved');
    const found = await resumed(storeOf({}, connections[1]), token, tenantId, 1);
    expect(found).toEqual({
      sessionId,
      owner: 2,
      keyId: 'key',
      token: expect.stringMatching(`^${sessionId}\\.`),
      seq: 3,
      frames: ['f2', 'f3'],
      state: '{"n":2}',
      text: 'one two',
      acceptedSamples: 250,
      leaseToken: 'lease-2',
    });
    expect(found.token).not.toBe(token);
  });

  it('brings back a session of which nothing was saved yet', async () => {
    const store = storeOf();
    const { session, token } = await opened(store);
    const found = await resumed(store, token, session.tenantId, 0);
    expect([found.owner, found.seq, found.frames, found.text]).toEqual([2, 0, [], '']);
    expect(found.leaseToken).toBeUndefined();
  });

  it('takes each token once, and each resume brings the next', async () => {
    const store = storeOf();
    const { session, token, holder } = await opened(store);
    await store.save(saveOf(session.sessionId), holder);
    const tokens = [token];
    for (let owner = 2; owner <= 4; owner += 1) {
      const found = await resumed(store, tokens.at(-1) ?? '', session.tenantId, 0);
      expect(found.owner).toBe(owner);
      tokens.push(found.token);
      await store.save(saveOf(session.sessionId, { owner }), holderOf(session, found.token));
      const spent = tokens.slice(0, -1);
      const answers = await Promise.all(
        spent.map((old) => reason(store, old, session.tenantId, 0)),
      );
      // Of those before the last one not even the digest is kept.
      expect(answers).toEqual(spent.map((_, at) => (at === spent.length - 1 ? 'used' : 'unknown')));
    }
  });

  it('takes any token again until a save says which one its client has, and fences who used the others', async () => {
    const store = storeOf();
    const { session, token, holder } = await opened(store);
    await store.save(saveOf(session.sessionId), holder);
    const died = await resumed(store, token, session.tenantId, 0);
    const next = await resumed(store, token, session.tenantId, 0);
    expect([died.owner, next.owner]).toEqual([2, 3]);
    const saveAs = ({ owner, token: own }: ResumedSession, confirmed: boolean): Promise<string> => {
      const save = saveOf(session.sessionId, { owner, frames: ['f1'], confirmed });
      return store.save(save, holderOf(session, own));
    };
    expect(await saveAs(died, true)).toBe('fenced');
    expect(await saveAs(next, false)).toBe('saved');
    // A dial that was given up comes late, and takes the session from the client's own; who has that token gets it back.
    const late = await resumed(store, token, session.tenantId, 0);
    expect(await saveAs(next, true)).toBe('fenced');
    const last = await resumed(store, next.token, session.tenantId, 0);
    expect([late.owner, last.owner, last.frames]).toEqual([4, 5, ['f1']]);
    expect(await saveAs(late, true)).toBe('fenced');
    expect(await saveAs(last, true)).toBe('saved');
    for (const { token: old } of [died, late])
      expect(await reason(store, old, session.tenantId, 0)).toBe('unknown');
    expect(await reason(store, next.token, session.tenantId, 0)).toBe('used');
    expect(await saveAs(last, false)).toBe('saved');
    expect(await reason(store, next.token, session.tenantId, 0)).toBe('used');
  });

  it('lets one of those who race with one token go on, whichever gateway they dial', async () => {
    const { session, token } = await opened(storeOf());
    const stores = connections.map((connection) => storeOf({}, connection));
    const found = await atOnce(30, (index) =>
      resumed(stores[index % 3] as SessionStore, token, session.tenantId, 0),
    );
    expect(new Set(found.map(({ owner }) => owner)).size).toBe(30);
    const saves = await atOnce(30, (index) => {
      const { owner, token: own } = found[index] as ResumedSession;
      const store = stores[index % 3] as SessionStore;
      return store.save(saveOf(session.sessionId, { owner }), holderOf(session, own));
    });
    expect(saves.filter((result) => result === 'saved')).toHaveLength(1);
  });

  it('refuses, and spends no token with it', async () => {
    const store = storeOf({ maxFrames: 4 });
    const { session, token, holder } = await opened(store);
    const { sessionId, tenantId } = session;
    await store.save(saveOf(sessionId, { frames: names(1, 10) }), holder);
    expect(await reason(store, token, 'other-tenant', 10)).toBe('wrong_tenant');
    expect(await reason(store, newResumeToken(sessionId), tenantId, 10)).toBe('unknown');
    expect(await reason(store, newResumeToken('sess_none'), tenantId, 10)).toBe('unknown');
    expect(await reason(storeOf({ fleet: 'elsewhere' }), token, tenantId, 10)).toBe('unknown');
    expect(await reason(store, token, tenantId, 11)).toBe('seq_ahead');
    expect(await reason(store, token, tenantId, 5)).toBe('frames_gone');
    for (const lastSeq of [-1, 1.5, Number.NaN, 2 ** 60])
      expect(await reason(store, token, tenantId, lastSeq)).toBe('malformed');
    for (const bad of ['', 'x', `${token}x`, token.slice(1), `{${token}`])
      expect(['malformed', 'unknown']).toContain(await reason(store, bad, tenantId, 10));
    const { frames } = await resumed(store, token, tenantId, 6);
    expect(frames).toEqual(names(7, 10));
  });

  it('refuses after the end, and after the TTL', async () => {
    const store = storeOf({ ttlMs: SHORT_MS });
    const { session, token, holder } = await opened(storeOf());
    expect(await store.end(session.sessionId, 1)).toBe(true);
    expect(await reason(store, token, session.tenantId, 0)).toBe('ended');
    expect(await store.save(saveOf(session.sessionId), holder)).toBe('fenced');
    const other = await opened(store);
    await until(async () => (await reason(store, other.token, 'x', 0)) === 'unknown');
  });

  it('is not spoiled by an opening call that comes late, when its caller has opened again', async () => {
    const store = storeOf();
    const { session, token, holder } = await opened(store);
    await store.save(saveOf(session.sessionId, { frames: ['f1'] }), holder);
    await store.open(session);
    expect((await resumed(store, token, session.tenantId, 0)).frames).toEqual(['f1']);
    await store.open(session);
    expect(await reason(store, token, session.tenantId, 0)).toBe('resumed');
  });

  it('stores no token', async () => {
    const store = storeOf();
    const { session, token, holder } = await opened(store);
    await store.save(saveOf(session.sessionId, { frames: ['f1'] }), holder);
    const found = await resumed(store, token, session.tenantId, 0);
    const { record } = sessionKeys(fleet, session.sessionId);
    const stored = JSON.stringify(await redis.hgetall(record));
    for (const one of [token, found.token]) expect(stored).not.toContain(one.split('.')[1]);
  });
});

describe('save', () => {
  it('changes nothing for a connection whose session goes on elsewhere', async () => {
    const store = storeOf();
    const { session, token, holder } = await opened(store);
    const { sessionId, tenantId } = session;
    const text = { atChar: 0, append: 'kept' };
    await store.save(saveOf(sessionId, { frames: ['f1'], text, acceptedSamples: 10 }), holder);
    const found = await resumed(store, token, tenantId, 0);
    const dump = async (): Promise<unknown> => {
      const { record, frames, text: textKey } = sessionKeys(fleet, sessionId);
      const usage = await new UsageLedger(redis).today(tenantId);
      const data = [redis.hgetall(record), redis.lrange(frames, 0, -1), redis.get(textKey)];
      return [await Promise.all<unknown>(data), usage];
    };
    const before = await dump();
    const late = saveOf(sessionId, {
      seq: 2,
      frames: ['x2'],
      state: '{"x":1}',
      text: { atChar: 4, append: ' not' },
      acceptedSamples: 99,
    });
    expect(await store.save(late, { ...holder, leaseToken: 'x' })).toBe('fenced');
    expect(await store.save({ ...late, text: { atChar: 0, append: 'x' } }, holder)).toBe('fenced');
    expect(await store.end(sessionId, 1)).toBe(false);
    expect(await dump()).toEqual(before);
    expect(await store.end(sessionId, found.owner)).toBe(true);
  });

  it('keeps frames once each, whatever part of a save comes again', async () => {
    const store = storeOf();
    const { session, token, holder } = await opened(store);
    const parts = [names(1, 2), names(1, 5), names(4, 5), names(5, 8), names(9, 9)];
    for (const frames of parts) {
      const seq = Number(frames.at(-1)?.slice(1));
      await store.save(saveOf(session.sessionId, { frames, seq }), holder);
    }
    expect((await resumed(store, token, session.tenantId, 0)).frames).toEqual(names(1, 9));
  });

  it('knows no frames before a gap', async () => {
    const store = storeOf();
    const { session, token, holder } = await opened(store);
    await store.save(saveOf(session.sessionId, { frames: names(1, 4) }), holder);
    await store.save(saveOf(session.sessionId, { frames: names(7, 8), seq: 8 }), holder);
    expect(await reason(store, token, session.tenantId, 5)).toBe('frames_gone');
    expect((await resumed(store, token, session.tenantId, 6)).frames).toEqual(names(7, 8));
    await redis.del(sessionKeys(fleet, session.sessionId).record);
    await store.save(saveOf(session.sessionId, { frames: ['g1'] }), holder);
    const { frames } = sessionKeys(fleet, session.sessionId);
    expect(await redis.lrange(frames, 0, -1)).toEqual(['g1']);
  });

  it('bounds the frames in number and in bytes, and keeps the last one however large', async () => {
    const store = storeOf({ maxFrames: 5, maxFrameBytes: 100 });
    const { session, token, holder } = await opened(store);
    const { sessionId, tenantId } = session;
    const kept = (): Promise<string[]> => redis.lrange(sessionKeys(fleet, sessionId).frames, 0, -1);
    await store.save(saveOf(sessionId, { frames: names(1, 40) }), holder);
    expect(await kept()).toEqual(names(36, 40));
    const large = ['a', 'b', 'c'].map((letter) => letter.repeat(40));
    await store.save(saveOf(sessionId, { frames: large, seq: 43 }), holder);
    expect(await kept()).toEqual(large.slice(1));
    await store.save(saveOf(sessionId, { frames: ['x'.repeat(1_000)], seq: 44 }), holder);
    expect((await kept()).map(({ length }) => length)).toEqual([1_000]);
    await store.save(saveOf(sessionId, { frames: ['y'], seq: 45 }), holder);
    expect(await kept()).toEqual(['y']);
    expect(await reason(store, token, tenantId, 43)).toBe('frames_gone');
  });

  it('puts text together from any parts, also within a surrogate pair', async () => {
    const store = storeOf();
    const parts = fc.array(fc.string({ unit: 'binary', maxLength: 12 }), { maxLength: 6 });
    const cut = fc.tuple(
      parts.map((some) => some.join('')),
      fc.array(fc.nat(60), { maxLength: 5 }),
    );
    await fc.assert(
      fc.asyncProperty(cut, async ([text, cuts]) => {
        const { session, token, holder } = await opened(store);
        const ends = [...cuts.map((at) => at % (text.length + 1)), text.length].sort(
          (a, b) => a - b,
        );
        let atChar = 0;
        for (const end of ends) {
          const append = text.slice(atChar, end);
          const save = saveOf(session.sessionId, { text: { atChar, append } });
          expect(await store.save(save, holder)).toBe('saved');
          atChar = end;
        }
        expect((await resumed(store, token, session.tenantId, 0)).text).toBe(text);
      }),
      { numRuns: 60 },
    );
  });

  it('asks for the whole text when it does not have what is to be continued', async () => {
    const store = storeOf();
    const { session, token, holder } = await opened(store);
    const { sessionId, tenantId } = session;
    const save = (atChar: number, append: string): Promise<string> =>
      store.save(
        saveOf(sessionId, { text: { atChar, append }, acceptedSamples: atChar + 1 }),
        holder,
      );
    expect(await save(0, 'hello')).toBe('saved');
    expect(await save(4, 'o world')).toBe('text_missing');
    expect(await save(6, 'world')).toBe('text_missing');
    expect((await new UsageLedger(redis).today(tenantId)).samplesToday).toBe(1);
    expect(await save(5, ' world')).toBe('saved');
    expect(await save(5, ' world')).toBe('text_missing');
    expect(await save(0, 'hello you')).toBe('saved');
    expect((await resumed(store, token, tenantId, 0)).text).toBe('hello you');
  });

  it('begins the next utterance without the text of the last', async () => {
    const store = storeOf();
    const { session, token, holder } = await opened(store);
    const texts = [
      { atChar: 0, append: 'first' },
      { atChar: 0, append: '' },
    ];
    for (const text of texts) await store.save(saveOf(session.sessionId, { text }), holder);
    expect(await redis.exists(sessionKeys(fleet, session.sessionId).text)).toBe(0);
    expect((await resumed(store, token, session.tenantId, 0)).text).toBe('');
  });

  it('gives everything a TTL, which each save makes full again', async () => {
    const { session, holder } = await opened(storeOf({ ttlMs: 5_000 }));
    const save = saveOf(session.sessionId, { frames: ['f'], text: { atChar: 0, append: 't' } });
    await storeOf({ ttlMs: 5_000 }).save(save, holder);
    const keys = Object.values(sessionKeys(fleet, session.sessionId));
    const ttls = (): Promise<number[]> => Promise.all(keys.map((key) => redis.pttl(key)));
    for (const ttlMs of await ttls()) expect(ttlMs).toBeLessThanOrEqual(5_000);
    await storeOf({ ttlMs: 9_000 }).save({ ...save, text: { atChar: 1, append: '' } }, holder);
    for (const ttlMs of await ttls()) expect(ttlMs).toBeGreaterThan(5_000);
  });
});

describe('a Redis that fails', () => {
  it('is RedisUnavailable, and comes back empty: the next save brings the session back', async () => {
    const own = await startRedis();
    const connection = await connect(own.url);
    try {
      const store = storeOf({}, connection);
      const { session, token, holder } = await opened(store);
      const { sessionId, tenantId } = session;
      const whole = { atChar: 0, append: 'so far' };
      await store.save(saveOf(sessionId, { frames: names(1, 5), text: whole }), holder);
      await own.kill();
      await expect(store.save(saveOf(sessionId), holder)).rejects.toThrow(RedisUnavailable);
      await expect(store.resume(token, tenantId, 0)).rejects.toThrow(RedisUnavailable);
      await own.restart();
      await ready(connection);
      expect(await reason(store, token, tenantId, 5)).toBe('unknown');
      const next = saveOf(sessionId, {
        frames: names(6, 7),
        seq: 7,
        text: { atChar: 6, append: '!' },
        acceptedSamples: 300,
      });
      expect(await store.save(next, holder)).toBe('text_missing');
      const again = { ...next, text: { atChar: 0, append: 'so far!' } };
      expect(await store.save(again, holder)).toBe('saved');
      expect(await reason(store, token, tenantId, 4)).toBe('frames_gone');
      const found = await resumed(store, token, tenantId, 5);
      expect([found.frames, found.text, found.owner]).toEqual([names(6, 7), 'so far!', 2]);
      const { samplesToday } = await new UsageLedger(connection).today(tenantId);
      expect(samplesToday).toBe(300);
    } finally {
      connection.disconnect();
      await own.stop();
    }
  });
});
