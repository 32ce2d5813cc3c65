import { describe, expect, it } from '@jest/globals';
import type { ResumedSession, SessionSave } from '@voice-fleet/fleet/session-record';
import { type SessionHolder, SessionStore } from '@voice-fleet/fleet/sessions/session-store';
import { UsageLedger } from '@voice-fleet/fleet/sessions/usage-ledger';
import fc from 'fast-check';
import { connections, fleet, redis } from '../support/pool.ts';
import { FATES, FaultyRedis, type Identity, newSession } from './session-store.fixture.ts';

const SESSIONS = 2;
const GATEWAYS = 3;

/** What a call was for, as the model needs it when the call reaches Redis. */
type Label =
  | { kind: 'save'; number: number; save: SessionSave; token: string }
  | { kind: 'resume'; sessionId: string; token: string; lastSeq: number }
  | { kind: 'end'; sessionId: string; owner: number }
  | { kind: 'charge'; sessionId: string; acceptedSamples: number };

/** The part of a session that its rules are about, told once more in the plainest way. */
interface Model {
  owner: number;
  save: number;
  confirmed: boolean;
  /** Unknown once it was drawn by a resume whose reply nobody got. */
  token: string | undefined;
  before: string | undefined;
  /** Issued since the last that a client was heard with: any of them may be the one it has. */
  issued: Set<string>;
  ended: boolean;
  accepted: number;
  text: string;
  state: string;
  frames: Map<number, string>;
  seq: number;
}

/** All sessions as they should be in Redis, and what should be booked. Answers each call as Redis should. */
class Books {
  readonly sessions = new Map<string, Model>();
  readonly billed = new Map<string, number>();
  readonly faults: string[] = [];

  open(sessionId: string, token: string): void {
    this.sessions.set(sessionId, {
      owner: 1,
      save: 0,
      confirmed: true,
      token,
      before: undefined,
      issued: new Set(),
      ended: false,
      accepted: 0,
      text: '',
      state: '',
      frames: new Map(),
      seq: 0,
    });
  }

  /** A call has reached Redis and was answered so. */
  run(label: Label, reply: unknown): void {
    const expected = this.#apply(label, reply);
    const got =
      label.kind === 'resume' ? (reply as unknown[]).slice(0, 2).join(' ') : String(reply);
    const right = label.kind === 'charge' || got === expected;
    if (!right) this.faults.push(`${JSON.stringify(label)}: ${got} instead of ${expected}`);
  }

  #apply(label: Label, reply: unknown): string {
    if (label.kind === 'charge') {
      this.#bill(label.sessionId, label.acceptedSamples);
      return '';
    }
    const id = label.kind === 'save' ? label.save.sessionId : label.sessionId;
    const model = this.sessions.get(id);
    if (model === undefined) throw new Error(`no session ${id}`);
    if (label.kind === 'save') return this.#save(model, label);
    if (label.kind === 'end') {
      if (label.owner < model.owner) return '0';
      model.ended = true;
      return '1';
    }
    return this.#resume(model, label, reply);
  }

  #save(model: Model, { save, number, token }: Extract<Label, { kind: 'save' }>): string {
    if (model.ended || save.owner < model.owner) return 'fenced';
    if (number <= model.save) return 'saved';
    const { atChar, append } = save.text;
    if (atChar > 0 && atChar !== model.text.length) return 'text_missing';
    const { acceptedSamples: accepted, state } = save;
    Object.assign(model, { save: number, token, accepted, state });
    model.confirmed ||= save.confirmed;
    model.text = atChar === 0 ? append : model.text + append;
    const first = save.seq - save.frames.length + 1;
    for (const [index, frame] of save.frames.entries()) model.frames.set(first + index, frame);
    model.seq = save.seq;
    this.#bill(save.sessionId, save.acceptedSamples);
    return 'saved';
  }

  #resume(model: Model, label: Extract<Label, { kind: 'resume' }>, reply: unknown): string {
    if (model.ended) return 'refused ended';
    if (label.token === model.before && model.confirmed) return 'refused used';
    const open = !model.confirmed && model.issued.has(label.token);
    if (label.token !== model.token && !open) return 'refused unknown';
    if (label.lastSeq > model.seq) return 'refused seq_ahead';
    if (model.confirmed) model.issued.clear();
    if (model.token !== undefined) model.issued.add(model.token);
    model.issued.add(label.token);
    model.before = label.token;
    Object.assign(model, { owner: model.owner + 1, save: 0, confirmed: false, token: undefined });
    const [, , key, seq, state, accepted, lease, text, ...frames] = reply as unknown[];
    const missed = [...model.frames].filter(([number]) => number > label.lastSeq);
    const found = { key, seq, state, accepted, lease, text, frames };
    expect(found).toEqual({
      key: 'key',
      seq: model.seq,
      state: model.state,
      accepted: model.accepted,
      lease: '',
      text: model.text,
      frames: missed.map(([, frame]) => frame),
    });
    return `resumed ${model.owner}`;
  }

  #bill(sessionId: string, samples: number): void {
    this.billed.set(sessionId, Math.max(this.billed.get(sessionId) ?? 0, samples));
  }
}

/** One connection's belief of its session, kept as a gateway would. It does not know that it is fenced until it is told. */
class Holder {
  readonly session: Identity;
  readonly token: string;
  readonly owner: number;
  accepted: number;
  seq: number;
  text: string;
  savedChars: number;
  unsaved: string[] = [];

  constructor(session: Identity, token: string, from?: ResumedSession) {
    this.session = session;
    this.token = token;
    this.owner = from?.owner ?? 1;
    this.accepted = from?.acceptedSamples ?? 0;
    this.seq = from?.seq ?? 0;
    this.text = from?.text ?? '';
    this.savedChars = this.text.length;
  }

  get holder(): SessionHolder {
    const { tenantId, keyId } = this.session;
    return { tenantId, keyId, token: this.token, leaseToken: undefined };
  }

  work(samples: number, frames: number, newText: boolean): void {
    this.accepted += samples;
    if (newText) this.text = '';
    if (newText) this.savedChars = 0;
    for (let count = 0; count < frames; count += 1) {
      this.seq += 1;
      this.unsaved.push(`${this.owner}:${this.seq}`);
      this.text += `w${this.seq} `;
    }
  }

  save(confirmed = true): SessionSave {
    return {
      sessionId: this.session.sessionId,
      owner: this.owner,
      seq: this.seq,
      frames: [...this.unsaved],
      state: `{"seq":${this.seq}}`,
      text: { atChar: this.savedChars, append: this.text.slice(this.savedChars) },
      acceptedSamples: this.accepted,
      confirmed,
    };
  }
}

const fate = fc.constantFrom(...FATES, 'ok' as const, 'ok' as const);
const where = { at: fc.nat(GATEWAYS - 1), session: fc.nat(SESSIONS - 1), which: fc.nat(), fate };
const step = fc.oneof(
  {
    weight: 18,
    arbitrary: fc.record({
      do: fc.constant('save' as const),
      ...where,
      samples: fc.nat(9),
      frames: fc.nat(3),
      newText: fc.boolean(),
      confirmed: fc.boolean(),
    }),
  },
  {
    weight: 9,
    arbitrary: fc.record({ do: fc.constant('resume' as const), ...where, back: fc.nat(3) }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('charge' as const), ...where }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('arrive' as const), ...where }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('end' as const), ...where }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Gateways that take up sessions from one another, over connections that lose, repeat and delay calls. */
class World {
  readonly books = new Books();
  readonly faulty = connections.map(
    (connection) =>
      new FaultyRedis<Label>(connection, (label, reply) => this.books.run(label, reply)),
  );
  readonly stores = this.faulty.map(({ client }) => new SessionStore(client, { fleet }));
  readonly ledgers = this.faulty.map(({ client }) => new UsageLedger(client));
  readonly sessions: Identity[] = [];
  readonly holders: Holder[][] = [];
  readonly tenantId = newSession().tenantId;
  #saves = 0;

  async open(): Promise<void> {
    for (let count = 0; count < SESSIONS; count += 1) {
      const session = newSession({ tenantId: this.tenantId });
      const { token } = await (this.stores[0] as SessionStore).open(session);
      this.books.open(session.sessionId, token);
      this.sessions.push(session);
      this.holders.push([new Holder(session, token)]);
    }
  }

  async take(step: Step): Promise<void> {
    const faulty = this.faulty[step.at] as FaultyRedis<Label>;
    if (step.do === 'arrive') return faulty.arrive();
    const holders = this.holders[step.session] as Holder[];
    const holder = holders[step.which % holders.length] as Holder;
    const lost = (error: unknown): undefined => {
      expect(String(error)).toContain('timed out');
    };
    if (step.do === 'save') await this.#save(holder, step).catch(lost);
    else if (step.do === 'resume') await this.#resume(holders, holder, step).catch(lost);
    else if (step.do === 'charge') await this.#charge(holder, step).catch(lost);
    else await this.#end(holder, step).catch(lost);
  }

  async #save(holder: Holder, step: Extract<Step, { do: 'save' }>): Promise<void> {
    holder.work(step.samples, step.frames, step.newText);
    const save = holder.save(step.confirmed);
    this.#saves += 1;
    const label: Label = { kind: 'save', number: this.#saves, save, token: holder.token };
    const store = this.stores[step.at] as SessionStore;
    const result = await (this.faulty[step.at] as FaultyRedis<Label>).with(step.fate, label, () =>
      store.save(save, holder.holder),
    );
    if (result === 'text_missing') holder.savedChars = 0;
    if (result !== 'saved') return;
    holder.unsaved = [];
    holder.savedChars = holder.text.length;
  }

  async #resume(
    holders: Holder[],
    { session, token }: Holder,
    step: Extract<Step, { do: 'resume' }>,
  ): Promise<void> {
    const model = this.books.sessions.get(session.sessionId);
    const lastSeq = Math.max(0, (model?.seq ?? 0) - step.back);
    const label: Label = { kind: 'resume', sessionId: session.sessionId, token, lastSeq };
    const store = this.stores[step.at] as SessionStore;
    const answer = await (this.faulty[step.at] as FaultyRedis<Label>).with(step.fate, label, () =>
      store.resume(token, session.tenantId, lastSeq),
    );
    if (answer.kind === 'refused') return;
    const taken = answer.session;
    holders.push(new Holder(session, taken.token, taken));
    if (model?.owner === taken.owner) model.token = taken.token;
  }

  async #charge(
    { session, accepted }: Holder,
    step: Extract<Step, { do: 'charge' }>,
  ): Promise<void> {
    const acceptedSamples = Math.max(0, accepted - (step.which % 5));
    const label: Label = { kind: 'charge', sessionId: session.sessionId, acceptedSamples };
    await (this.faulty[step.at] as FaultyRedis<Label>).with(step.fate, label, () =>
      (this.ledgers[step.at] as UsageLedger).charge([{ ...session, acceptedSamples }]),
    );
  }

  async #end({ session, owner }: Holder, step: Extract<Step, { do: 'end' }>): Promise<void> {
    const label: Label = { kind: 'end', sessionId: session.sessionId, owner };
    await (this.faulty[step.at] as FaultyRedis<Label>).with(step.fate, label, () =>
      (this.stores[step.at] as SessionStore).end(session.sessionId, owner),
    );
  }

  async check(): Promise<void> {
    for (const faulty of this.faulty) await faulty.arrive();
    expect(this.books.faults).toEqual([]);
    const { day, samplesToday } = await new UsageLedger(redis).today(this.tenantId);
    const sum = [...this.books.billed.values()].reduce((total, one) => total + one, 0);
    expect(samplesToday).toBe(sum);
    const rows = await new UsageLedger(redis).usage(this.tenantId, { fromDay: day, toDay: day });
    const sessions = [...this.books.billed.values()].filter((samples) => samples > 0).length;
    expect(rows).toEqual(sum === 0 ? [] : [{ day, keyId: 'key', samples: sum, sessions }]);
  }
}

describe('sessions under lost, repeated, delayed and overtaken calls', () => {
  it('are what the last one who may write has written, and billed once to the last sample', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
        const world = new World();
        await world.open();
        for (const one of steps) await world.take(one);
        await world.check();
      }),
      { numRuns: 120 },
    );
  });

  it('are billed once by gateways that charge and save at the same time', async () => {
    const tenantId = newSession().tenantId;
    const stores = connections.map((connection) => new SessionStore(connection, { fleet }));
    const ledgers = connections.map((connection) => new UsageLedger(connection));
    const sessions = Array.from({ length: 20 }, () => newSession({ tenantId }));
    const most = new Map(sessions.map(({ sessionId }, index) => [sessionId, 1_000 + index]));
    const calls = sessions.flatMap((session) => {
      const last = most.get(session.sessionId) ?? 0;
      return Array.from({ length: 30 }, (_, index) => async (): Promise<unknown> => {
        const acceptedSamples = index === 0 ? last : (last * index * 7) % last;
        const at = index % 3;
        if (index % 2 === 0) return ledgers[at]?.charge([{ ...session, acceptedSamples }]);
        const holder = new Holder(session, `${session.sessionId}.${'A'.repeat(24)}`);
        holder.accepted = acceptedSamples;
        return stores[at]?.save(holder.save(), holder.holder);
      });
    });
    // A fixed order that has nothing to do with that of the offsets.
    const mixed = calls.map((_, index) => calls[(index * 7_919) % calls.length]);
    await Promise.all(mixed.flatMap((call) => (call ? [call()] : [])));
    const sum = [...most.values()].reduce((total, one) => total + one, 0);
    expect((await new UsageLedger(redis).today(tenantId)).samplesToday).toBe(sum);
  });
});
