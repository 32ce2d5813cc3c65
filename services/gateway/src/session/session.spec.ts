import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { type ErrorCode, VoiceError } from '@voice-fleet/protocol/errors';
import type { LinkWord } from '@voice-fleet/protocol/link';
import type { ClientCommand } from '@voice-fleet/protocol/session';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import type { SessionLimits } from './limits.ts';
import type { Link, LinkListener } from './link.ts';
import { FakeLink, FakeRoute, FakeSink } from './session.fixture.ts';
import { Session } from './session.ts';

const LIMITS: SessionLimits = {
  idleTimeoutMs: 10_000,
  maxDurationMs: 60_000,
  watchdogTickMs: 1_000,
  messagesPerWindow: 0,
  messageWindowMs: 60_000,
  cancelsPerWindow: 0,
  cancelWindowMs: 60_000,
  inboundQueueMax: 7,
  failover: { timeoutMs: 5_000, maxLosses: 2 },
};
const PCM = Buffer.alloc(320);

const word = (text: string): LinkWord => ({ text, startSample: 0, endSample: 1 });
const start = (utteranceId: string): ClientCommand => ({ kind: 'start', utteranceId });
const audio = (utteranceId?: string): ClientCommand => ({ kind: 'audio', utteranceId, pcm: PCM });
const finalize = (utteranceId?: string): ClientCommand => ({ kind: 'finalize', utteranceId });
const cancel: ClientCommand = { kind: 'cancel', reason: 'why' };

describe('Session', () => {
  let clock: FakeClock;
  let sink: FakeSink;
  let link: FakeLink;
  let route: FakeRoute;
  /** What the link asked for last reports to. */
  const listener = new Proxy({} as LinkListener, {
    get: (_, name) => Reflect.get(route.requests.at(-1)?.listener ?? {}, name),
  });

  function make(limits: Partial<SessionLimits> = {}): Session {
    return new Session({
      id: 'sess_1',
      clock,
      limits: { ...LIMITS, ...limits },
      sink,
      route,
    });
  }

  async function open(limits: Partial<SessionLimits> = {}): Promise<Session> {
    const session = make(limits);
    await session.open({ waitMs: 0 });
    sink.events.length = 0;
    return session;
  }

  const partial = (utterance: number, text: string, tail = ''): void =>
    listener.onUtterance({ type: 'partial', utterance, words: text ? [word(text)] : [], tail });
  const final = (utterance: number, text = ''): void =>
    listener.onUtterance({
      type: 'final',
      utterance,
      words: text ? [word(text)] : [],
      promptTokens: 5,
      completionTokens: 2,
    });

  function refusal(session: Session, command: ClientCommand): VoiceError {
    try {
      session.apply(command);
    } catch (error) {
      if (error instanceof VoiceError) return error;
      throw error;
    }
    throw new Error(`${command.kind} was allowed`);
  }

  beforeEach(() => {
    clock = new FakeClock();
    sink = new FakeSink();
    link = new FakeLink();
    route = new FakeRoute();
    route.answers = [async () => link];
  });

  describe('an utterance with an endpoint', () => {
    it('asks its worker to tell of the speaker, and passes on what that tells', async () => {
      const session = await open();
      session.apply({ kind: 'start', utteranceId: 'a', silenceMs: 700 });
      expect(link.calls).toEqual(['start 1 from 0 to 700']);
      listener.onUtterance({ type: 'speech_started', utterance: 1, sample: 160 });
      listener.onUtterance({ type: 'speech_ended', utterance: 1, sample: 320 });
      listener.onUtterance({ type: 'speech_ended', utterance: 7, sample: 320 });
      expect(sink.speeches).toEqual(['started a 160', 'ended a 320']);
    });

    it('tells the next worker that somebody speaks already', async () => {
      const session = await open();
      session.apply({ kind: 'start', utteranceId: 'a', silenceMs: 700 });
      listener.onUtterance({ type: 'speech_started', utterance: 1, sample: 0 });
      listener.onLost('gone');
      await turn();
      expect(link.calls.at(-1)).toBe('resume 1 from 0 to 700 begun');
    });

    it('is let come to its end, and dropped, without a frame of the client', async () => {
      const session = await open();
      session.finish();
      session.drop();
      session.apply(start('a'));
      session.finish();
      session.finish();
      session.drop();
      expect(session.busy).toBe(false);
      expect(link.calls).toEqual(['start 1 from 0', 'finish 1', 'cancel 1']);
      expect(sink.events).toEqual([]);
      expect(sink.letGone).toEqual(['a']);
    });

    it('counts nothing that is no frame of the client', async () => {
      const session = await open({ messagesPerWindow: 1, messageWindowMs: 60_000 });
      session.apply(start('a'));
      session.perform(audio('a'));
      session.perform(finalize('a'));
      expect(refusal(session, audio('a')).code).toBe('message_rate_limited');
    });
  });

  describe('an utterance', () => {
    it('goes to the link frame by frame and comes back as partials and one final', async () => {
      const session = await open();
      session.apply(start('a'));
      session.apply(audio('a'));
      session.apply(audio());
      partial(1, 'one', 'tw');
      session.apply(finalize('a'));
      final(1, ' two');
      expect(link.calls).toEqual(['start 1 from 0', 'audio 320', 'audio 320', 'finish 1']);
      expect(sink.events).toEqual([
        { kind: 'partial', utteranceId: 'a', text: 'one', tail: 'tw' },
        { kind: 'partial', utteranceId: 'a', text: ' two', tail: '' },
        {
          kind: 'final',
          utteranceId: 'a',
          text: 'one two',
          usage: { promptTokens: 5, completionTokens: 2 },
        },
      ]);
      expect(session.totals).toEqual({
        utterances: 1,
        acceptedSamples: 320,
        droppedSamples: 0,
        workersLost: 0,
        moves: 0,
      });
    });

    it('starts on the session clock where the accepted audio of those before it ended', async () => {
      const session = await open();
      session.apply(start('a'));
      session.apply(audio());
      session.apply(finalize());
      final(1);
      session.apply(start('b'));
      expect(link.calls.at(-1)).toBe('start 2 from 160');
    });

    it('tells of dropped audio', async () => {
      const session = await open();
      session.apply(start('a'));
      listener.onUtterance({ type: 'dropped', utterance: 1, samples: 9, maxBacklogSamples: 8 });
      expect(sink.events).toEqual([
        {
          kind: 'dropped',
          utteranceId: 'a',
          samples: 9,
          maxBacklogSamples: 8,
          source: 'pending_buffer',
        },
      ]);
      expect(session.totals.droppedSamples).toBe(9);
    });

    it('says nothing about a partial without text', async () => {
      const session = await open();
      session.apply(start('a'));
      partial(1, '');
      expect(sink.events).toEqual([]);
    });

    it('takes audio and an end only while it is open, and leaves the link alone otherwise', async () => {
      const session = await open();
      const codes = (): ErrorCode[] => [
        refusal(session, audio('a')).code,
        refusal(session, finalize('a')).code,
      ];
      const none = ['no_active_request', 'no_active_request'];
      expect(codes()).toEqual(none);
      session.apply(start('a'));
      session.apply(finalize('a'));
      expect(codes()).toEqual(none);
      final(1);
      expect(codes()).toEqual(none);
      session.apply(start('b'));
      const error = refusal(session, audio('a'));
      expect([error.code, error.details]).toEqual([
        'request_id_mismatch',
        { active_request_id: 'b' },
      ]);
      expect(refusal(session, finalize('a')).code).toBe('request_id_mismatch');
      session.apply(finalize('b'));
      expect(link.calls).toEqual(['start 1 from 0', 'finish 1', 'start 2 from 0', 'finish 2']);
    });

    it('fails when its final comes before its end', async () => {
      const session = await open();
      session.apply(start('a'));
      final(1, 'early');
      expect(sink.events).toMatchObject([{ kind: 'error', error: { code: 'engine_failed' } }]);
    });

    it('ends without a word when another starts, be it open or finishing, even under the same id', async () => {
      const session = await open();
      session.apply(start('a'));
      session.apply(start('a'));
      session.apply(finalize());
      session.apply(start('b'));
      for (const late of [1, 2]) {
        partial(late, 'late');
        final(late);
        listener.onUtterance({ type: 'failed', utterance: late, reason: 'x' });
      }
      session.apply(finalize());
      final(3, 'mine');
      expect(link.calls).toEqual([
        'start 1 from 0',
        'cancel 1',
        'start 2 from 0',
        'finish 2',
        'cancel 2',
        'start 3 from 0',
        'finish 3',
      ]);
      expect(sink.events.map((event) => event.kind)).toEqual(['partial', 'final']);
      expect(sink.events[0]).toMatchObject({ utteranceId: 'b', text: 'mine' });
    });

    it('is cancelled with one answer, and with nothing active the answer comes all the same', async () => {
      const session = await open();
      session.apply(start('a'));
      session.apply(cancel);
      partial(1, 'late');
      final(1);
      session.apply(cancel);
      expect(link.calls).toEqual(['start 1 from 0', 'cancel 1']);
      const cancelled = { kind: 'cancelled', reason: 'why' };
      expect(sink.events).toEqual([cancelled, cancelled]);
    });

    it('is dropped by the end of the session', async () => {
      const session = await open();
      session.apply(start('a'));
      session.apply({ kind: 'end' });
      final(1);
      expect(link.calls).toEqual(['start 1 from 0', 'cancel 1']);
      expect(sink.events).toEqual([{ kind: 'ended' }]);
      expect(sink.ends).toEqual([{ kind: 'ended' }]);
    });
  });

  describe('opened and closed', () => {
    it('tells its id, model and time', async () => {
      const info = await make().open({ waitMs: 0 });
      expect(info).toEqual({ id: 'sess_1', model: 'm', createdAtS: 1_700_000_000 });
    });

    it('rejects with the error of the fleet when there is no slot, and starts no timer', async () => {
      route.answers = [() => Promise.reject(new VoiceError('at_capacity'))];
      await expect(make().open({ waitMs: 0 })).rejects.toMatchObject({ code: 'at_capacity' });
      expect(sink.events).toEqual([]);
      expect(clock.pending).toBe(0);
    });

    it('closed while it connects tells the connector and closes the link that comes all the same', async () => {
      let give: (given: Link) => void = () => undefined;
      route.answers = [
        () =>
          new Promise((resolve) => {
            give = resolve;
          }),
      ];
      const session = make();
      const opened = expect(session.open({ waitMs: 0 })).rejects.toThrow('session closed');
      const closed = session.close();
      expect(route.requests[0]?.signal.aborted).toBe(true);
      give(link);
      await opened;
      await closed;
      expect(link.calls).toEqual(['close']);
      expect(sink.events).toEqual([]);
      expect(clock.pending).toBe(0);
    });

    it('closed gives its link back before it settles, and leaves no timer', async () => {
      const session = await open();
      link.closing = new Promise((resolve) => {
        link.release = resolve;
      });
      let settled = false;
      const closed = session.close().then(() => {
        settled = true;
      });
      await turn();
      expect(settled).toBe(false);
      link.release();
      await closed;
      expect(link.calls).toEqual(['close']);
      expect(clock.pending).toBe(0);
    });

    it('closed while it looks for a worker stops looking at once', async () => {
      const session = await open();
      route.answers = [() => Promise.reject(new VoiceError('fleet_unavailable'))];
      listener.onLost('gone');
      await turn();
      await session.close();
      clock.advance(60_000);
      await turn();
      expect(route.requests).toHaveLength(2);
      expect(clock.pending).toBe(0);
    });

    it('closed while another worker is being asked closes the link that comes of it', async () => {
      const session = await open();
      let give: (given: Link) => void = () => undefined;
      route.answers = [
        () =>
          new Promise((resolve) => {
            give = resolve;
          }),
      ];
      listener.onLost('gone');
      const closed = session.close();
      const second = new FakeLink();
      give(second);
      await closed;
      expect(second.calls).toEqual(['close']);
    });
  });

  describe('configure', () => {
    it('takes the served model or none, and refuses another with both names', async () => {
      const session = await open();
      session.apply({ kind: 'configure', model: 'm' });
      session.apply({ kind: 'configure', model: undefined });
      expect(sink.events.map((event) => event.kind)).toEqual(['configured', 'configured']);
      const error = refusal(session, { kind: 'configure', model: 'x'.repeat(999) });
      expect([error.code, error.details]).toEqual([
        'unsupported_model',
        { allowed_model: 'm', requested: 'x'.repeat(200) },
      ]);
    });
  });

  describe('limits', () => {
    it('closes an idle session within one tick, and any frame or event puts that off', async () => {
      const session = await open();
      clock.advance(9_500);
      session.touch();
      clock.advance(9_500);
      session.apply({ kind: 'ping' });
      clock.advance(9_500);
      expect(sink.ends).toEqual([]);
      clock.advance(1_500);
      expect(sink.ends).toEqual([{ kind: 'idle' }]);
      clock.advance(60_000);
      expect(sink.ends).toHaveLength(1);
    });

    it('never counts an utterance under way as idle, from its start to its final', async () => {
      const session = await open();
      session.apply(start('a'));
      clock.advance(20_000);
      session.apply(finalize());
      clock.advance(20_000);
      session.apply({ kind: 'ping' });
      expect(sink.ends).toEqual([]);
      final(1);
      clock.advance(9_000);
      expect(sink.ends).toEqual([]);
      clock.advance(1_000);
      expect(sink.ends).toEqual([{ kind: 'idle' }]);
    });

    it('never counts as idle while what stands before its client is busy, as with a reply', async () => {
      sink.busy = true;
      await open({ maxDurationMs: undefined });
      clock.advance(60_000);
      expect(sink.ends).toEqual([]);
      sink.busy = false;
      clock.advance(9_000);
      expect(sink.ends).toEqual([]);
      clock.advance(1_000);
      expect(sink.ends).toEqual([{ kind: 'idle' }]);
    });

    it('counts an utterance that failed as idle', async () => {
      const session = await open();
      session.apply(start('a'));
      final(1, 'early');
      clock.advance(11_000);
      expect(sink.ends).toEqual([{ kind: 'idle' }]);
    });

    it('drops messages over the rate with the time to wait; ping, pong and end are exempt (Y60)', async () => {
      const session = await open({ messagesPerWindow: 2 });
      session.apply(start('a'));
      session.apply(audio());
      clock.advance(1_500);
      const error = refusal(session, audio());
      expect([error.code, error.details]).toEqual([
        'message_rate_limited',
        { kind: 'message', limit: 2, window_seconds: 60, retry_in: 58.5 },
      ]);
      expect(refusal(session, finalize()).code).toBe('message_rate_limited');
      expect(link.calls).toEqual(['start 1 from 0', 'audio 320']);
      session.apply({ kind: 'ping' });
      session.apply({ kind: 'ignore' });
      session.apply(cancel);
      session.apply({ kind: 'end' });
      expect(sink.events.map((event) => event.kind)).toEqual(['pong', 'cancelled', 'ended']);
    });

    it('drops cancels over their own rate, and the utterance goes on (Y60)', async () => {
      const session = await open({ cancelsPerWindow: 1, idleTimeoutMs: undefined });
      session.apply(cancel);
      session.apply(start('a'));
      const error = refusal(session, cancel);
      expect([error.code, error.details]).toEqual([
        'cancel_rate_limited',
        { kind: 'cancel', limit: 1, window_seconds: 60, retry_in: 60 },
      ]);
      expect(link.calls).toEqual(['start 1 from 0']);
    });
  });
});
