import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { LinkWord } from '@voice-fleet/protocol/link';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import type { SessionLimits } from './limits.ts';
import type { Link, LinkListener } from './link.ts';
import { FakeLink, FakeRoute, FakeSink } from './session.fixture.ts';
import { Session } from './session.ts';
import type { SessionDeps } from './session-deps.ts';

const LIMITS: SessionLimits = {
  idleTimeoutMs: undefined,
  maxDurationMs: undefined,
  watchdogTickMs: 1_000,
  messagesPerWindow: 0,
  messageWindowMs: 1,
  cancelsPerWindow: 0,
  cancelWindowMs: 1,
  inboundQueueMax: 7,
  failover: { timeoutMs: 5_000, maxLosses: 2 },
};
const SECOND = 16_000;

const said = (text: string, startSample: number, endSample: number): LinkWord => ({
  text,
  startSample,
  endSample,
});

describe('a session that loses its worker', () => {
  let clock: FakeClock;
  let sink: FakeSink;
  let link: FakeLink;
  let route: FakeRoute;
  let session: Session;

  /** What the link asked for as number `nth` reports to. */
  function reported(nth = -1): LinkListener {
    const request = route.requests.at(nth);
    if (request === undefined) throw new Error('no such request');
    return request.listener;
  }

  function make(over: Partial<SessionDeps> = {}): Session {
    return new Session({ id: 'sess_1', clock, limits: LIMITS, route, sink, ...over });
  }

  const tell = (words: LinkWord[], nth = -1): void =>
    reported(nth).onUtterance({ type: 'partial', utterance: 1, words, tail: '' });
  const final = (words: LinkWord[] = []): void =>
    reported().onUtterance({
      type: 'final',
      utterance: 1,
      words,
      promptTokens: 1,
      completionTokens: 1,
    });
  const speak = (seconds: number): void => {
    for (let part = 0; part < seconds * 10; part += 1)
      session.apply({ kind: 'audio', utteranceId: 'a', pcm: Buffer.alloc(SECOND / 5) });
  };
  const start = (): void => session.apply({ kind: 'start', utteranceId: 'a' });
  const finalize = (): void => session.apply({ kind: 'finalize', utteranceId: 'a' });
  const replayed = (to: FakeLink): number =>
    to.calls
      .filter((call) => call.startsWith('audio'))
      .reduce((sum, call) => sum + Number(call.slice(6)) / 2, 0);
  const told = (): unknown[] =>
    sink.events.map((event) => (event.kind === 'error' ? event.error.code : event.kind));
  const refuse = (code: 'at_capacity' | 'fleet_unavailable') => (): Promise<Link> =>
    Promise.reject(new VoiceError(code));
  const alone = (): Promise<Link> =>
    Promise.reject(new VoiceError('fleet_unavailable', { details: { reason: 'no_workers' } }));

  beforeEach(async () => {
    clock = new FakeClock();
    sink = new FakeSink();
    link = new FakeLink();
    route = new FakeRoute();
    route.answers = [async () => link];
    session = make();
    await session.open({ waitMs: 0 });
    clock.advance(10_000);
    link = new FakeLink();
    route.answers = [async () => link];
  });

  it('goes on with another from two seconds before the last word, and its client hears nothing of it', async () => {
    start();
    speak(10);
    tell([said('one', 0, 5 * SECOND), said(' two', 5 * SECOND, 7 * SECOND)]);
    reported().onLost('gone');
    speak(1);
    await turn();
    expect(link.calls[0]).toBe(`resume 1 from ${5 * SECOND}`);
    expect(link.resumes).toEqual([
      {
        heardSample: 7 * SECOND,
        liveSample: 11 * SECOND,
        words: [said('one', 0, 5 * SECOND), said(' two', 5 * SECOND, 7 * SECOND)],
      },
    ]);
    expect(replayed(link)).toBe(6 * SECOND);
    speak(1);
    expect(replayed(link)).toBe(7 * SECOND);
    finalize();
    final([said(' three', 8 * SECOND, 9 * SECOND)]);
    expect(told()).toEqual(['partial', 'partial', 'final']);
    expect(sink.events.at(-1)).toMatchObject({ text: 'one two three' });
    expect([sink.moves, session.totals.moves]).toEqual([['lost'], 1]);
    await session.close();
    expect(clock.pending).toBe(0);
  });

  it('sends again what the worker has acknowledged no word of, however long that was silent', async () => {
    start();
    speak(4);
    reported().onSettled(3 * SECOND);
    reported().onLost('gone');
    await turn();
    expect(link.calls[0]).toBe(`resume 1 from ${SECOND}`);
    expect(link.resumes[0]).toMatchObject({ heardSample: 3 * SECOND, words: [] });
  });

  it('believes no worker that has heard more than was sent', async () => {
    start();
    speak(4);
    reported().onSettled(90 * SECOND);
    reported().onLost('gone');
    await turn();
    expect(link.resumes[0]).toMatchObject({ heardSample: 4 * SECOND });
  });

  it('asks for the end again if the client has ended', async () => {
    start();
    speak(1);
    finalize();
    reported().onLost('gone');
    await turn();
    expect(link.calls.at(-1)).toBe('finish 1');
    final();
    expect(told()).toEqual(['final']);
  });

  it('hears nothing more of the one it has left', async () => {
    start();
    speak(1);
    const old = reported();
    old.onLost('gone');
    await turn();
    old.onUtterance({ type: 'partial', utterance: 1, words: [said('late', 0, 9)], tail: '' });
    old.onSettled(SECOND);
    expect(told()).toEqual([]);
  });

  it('tells how much is missing when more had to be kept than is kept', async () => {
    start();
    speak(70);
    reported().onLost('gone');
    await turn();
    expect(link.resumes[0]).toMatchObject({ heardSample: 10 * SECOND });
    expect(sink.events).toEqual([
      {
        kind: 'dropped',
        utteranceId: 'a',
        samples: 10 * SECOND,
        maxBacklogSamples: 0,
        source: 'replay_buffer',
      },
    ]);
  });

  it('tells once of what is missing, however often it moves', async () => {
    start();
    speak(70);
    for (let loss = 0; loss < 2; loss += 1) {
      reported().onLost('gone');
      await turn();
      clock.advance(1_000);
      await turn();
    }
    expect(told()).toEqual(['dropped']);
  });

  it('follows a worker that drains as soon as it is linked', async () => {
    const next = new FakeLink();
    route.answers = [
      async () => {
        reported().onDraining('stopping');
        return link;
      },
      async () => next,
    ];
    reported().onLost('gone');
    for (let round = 0; round < 5; round += 1) {
      await turn();
      clock.advance(1_000);
    }
    expect([route.requests.length, sink.moves]).toEqual([3, ['lost', 'draining']]);
  });

  it('keeps an utterance that starts while there is no worker, and starts it on the next', async () => {
    route.answers = [refuse('fleet_unavailable'), async () => link];
    reported().onLost('gone');
    await turn();
    start();
    speak(1);
    await turn();
    expect(link.calls[0]).toBe('resume 1 from 0');
    expect(replayed(link)).toBe(SECOND);
    expect(told()).toEqual([]);
  });

  it('says worker_lost when none is found in time, goes on looking, and the next utterance is whole', async () => {
    route.answers = [refuse('at_capacity')];
    start();
    speak(1);
    reported().onLost('gone');
    await turn();
    clock.advance(5_000);
    expect(told()).toEqual(['worker_lost']);
    speak(1);
    expect(() => finalize()).toThrow(expect.objectContaining({ code: 'worker_lost' }));
    route.answers = [async () => link];
    clock.advance(5_000);
    await turn();
    start();
    expect(link.calls).toEqual([`start 2 from ${SECOND}`]);
    expect(sink.ends).toEqual([]);
  });

  it('is not tried on a third worker when its utterance ended two in a row', async () => {
    start();
    speak(1);
    for (let loss = 0; loss < 3; loss += 1) {
      expect(told()).toEqual([]);
      reported().onLost('gone');
      await turn();
      clock.advance(1_000);
      await turn();
    }
    expect(told()).toEqual(['worker_lost']);
  });

  it('counts no loss before ten seconds that were settled', async () => {
    start();
    for (let loss = 1; loss < 6; loss += 1) {
      speak(11);
      reported().onSettled(11 * loss * SECOND);
      reported().onLost('gone');
      await turn();
      clock.advance(1_000);
      await turn();
    }
    expect(told()).toEqual([]);
    expect(session.totals.moves).toBe(5);
  });

  it('leaves one whose engine failed for another', async () => {
    start();
    speak(2);
    reported().onUtterance({ type: 'failed', utterance: 1, reason: 'x' });
    await turn();
    expect(route.requests.at(-1)?.avoid).toBe('w');
    expect(replayed(link)).toBe(2 * SECOND);
    expect([told(), sink.moves]).toEqual([[], ['engine_failed']]);
  });

  it('says engine_failed at once when there is no other', async () => {
    route.answers = [alone, async () => link];
    start();
    speak(1);
    reported().onUtterance({ type: 'failed', utterance: 1, reason: 'x' });
    await turn();
    expect(told()).toEqual(['engine_failed']);
    expect(() => finalize()).toThrow(expect.objectContaining({ code: 'engine_failed' }));
    expect(() => finalize()).toThrow(expect.objectContaining({ code: 'no_active_request' }));
  });

  it('tries again when it could not be asked for another', async () => {
    route.answers = [refuse('fleet_unavailable'), async () => link];
    start();
    speak(1);
    reported().onStalled();
    await turn();
    clock.advance(1_000);
    await turn();
    expect([told(), sink.ends, replayed(link)]).toEqual([[], [], SECOND]);
  });

  it('goes nowhere when every engine fails on its utterance: the last one says so', async () => {
    start();
    speak(1);
    for (let nth = 0; nth < 6; nth += 1) {
      reported().onDraining('engine');
      await turn();
      clock.advance(10_000);
      await turn();
    }
    expect(session.totals.moves).toBe(LIMITS.failover.maxLosses);
    reported().onUtterance({ type: 'failed', utterance: 1, reason: 'x' });
    await turn();
    expect(told()).toEqual(['engine_failed']);
  });

  it('does not go back to the worker that failed while others are only full', async () => {
    route.answers = [refuse('at_capacity'), refuse('at_capacity'), async () => link];
    start();
    speak(1);
    reported().onUtterance({ type: 'failed', utterance: 1, reason: 'x' });
    for (let round = 0; round < 4; round += 1) {
      await turn();
      clock.advance(1_000);
    }
    expect(route.requests.slice(1).map(({ leave, waitMs }) => [leave, waitMs])).toEqual([
      ['w', 0],
      ['w', 10_000],
      ['w', 10_000],
    ]);
    expect([told(), sink.moves]).toEqual([[], ['engine_failed']]);
  });

  it('waits for another when all are full', async () => {
    route.answers = [refuse('at_capacity'), async () => link];
    start();
    speak(1);
    reported().onUtterance({ type: 'failed', utterance: 1, reason: 'x' });
    await turn();
    clock.advance(1_000);
    await turn();
    expect(told()).toEqual([]);
    expect(replayed(link)).toBe(SECOND);
  });

  it('leaves one that takes nothing, or ends with the limit that was met', async () => {
    start();
    reported().onCongestion(true);
    reported().onStalled();
    await turn();
    expect([told(), sink.moves, sink.holds.at(-1)]).toEqual([[], ['stalled'], false]);
    route.answers = [alone];
    clock.advance(10_000);
    reported().onStalled();
    await turn();
    expect(told()).toEqual(['inbound_queue_full']);
    expect(sink.ends).toMatchObject([
      { kind: 'error', error: { details: { inbound_queue_max: 7 } } },
    ]);
  });

  it('follows a worker that drains nowhere before another is ready, then goes at once', async () => {
    let give: (given: Link) => void = () => undefined;
    route.answers = [
      () =>
        new Promise((resolve) => {
          give = resolve;
        }),
    ];
    start();
    speak(3);
    const old = reported();
    old.onDraining('stopping');
    await turn();
    const { listener } = route.requests[0] ?? {};
    listener?.onUtterance({
      type: 'partial',
      utterance: 1,
      words: [said('one', 0, SECOND)],
      tail: '',
    });
    speak(1);
    give(link);
    await turn();
    expect(replayed(link)).toBe(4 * SECOND);
    expect(link.resumes[0]?.words).toEqual([said('one', 0, SECOND)]);
    expect([told(), sink.moves, session.totals.workersLost]).toEqual([
      ['partial'],
      ['draining'],
      0,
    ]);
  });

  it('lost outside an utterance is no matter for the client', async () => {
    reported().onLost('gone');
    await turn();
    expect(told()).toEqual([]);
    expect(link.calls).toEqual([]);
    expect(route.requests).toHaveLength(2);
  });

  it('clogged holds the client until it flows again', () => {
    reported().onCongestion(true);
    reported().onCongestion(false);
    expect(sink.holds).toEqual([true, false]);
  });

  it('ends with an error after the last word of its utterance', async () => {
    start();
    speak(1);
    session.endWith(new VoiceError('audio_quota_exhausted'));
    speak(1);
    start();
    expect(session.totals.acceptedSamples).toBe(SECOND);
    expect(told()).toEqual([]);
    final([said('one', 0, SECOND)]);
    expect(told()).toEqual(['partial', 'final', 'audio_quota_exhausted']);
    expect(sink.ends).toHaveLength(1);
  });

  it('ends when its utterance is cancelled instead of coming to its end', async () => {
    start();
    speak(1);
    session.endWith(new VoiceError('audio_quota_exhausted'));
    session.apply({ kind: 'cancel', reason: 'x' });
    expect(told()).toEqual(['cancelled', 'audio_quota_exhausted']);
    expect(sink.ends).toHaveLength(1);
  });

  it('tells of a failure when it is over, so that whoever waits for that need not wait on', async () => {
    route.answers = [alone];
    start();
    finalize();
    let busy: boolean | undefined;
    sink.event = () => {
      busy = session.busy;
    };
    reported().onUtterance({ type: 'failed', utterance: 1, reason: 'x' });
    await turn();
    expect(busy).toBe(false);
  });

  it('books what another utterance says behind what was booked, and never again what is said again', async () => {
    start();
    speak(10);
    tell([said('one', 0, 5 * SECOND)]);
    const snapshot = session.snapshot();
    await session.close();
    session = make({ restored: { snapshot, text: 'one', acceptedSamples: 12 * SECOND } });
    session.resume(snapshot);
    speak(3);
    expect(session.recordedSamples).toBe(12 * SECOND);
    await turn();
    session.apply({ kind: 'start', utteranceId: 'a' });
    expect(link.calls.at(-1)).toBe(`start 2 from ${12 * SECOND}`);
    speak(1);
    // A late mark of the one before says nothing of this one.
    reported().onSettled(9 * SECOND);
    expect(session.recordedSamples).toBe(13 * SECOND);
    expect(session.snapshot().utterance?.settledSample).toBe(12 * SECOND);
  });

  it('is not taken up any more once it was closed, and leaves no timer', async () => {
    start();
    const snapshot = session.snapshot();
    await session.close();
    const restored = make({ restored: { snapshot, text: '', acceptedSamples: 0 } });
    await restored.close();
    expect(() => restored.resume(snapshot)).toThrow('session closed');
    expect(clock.pending).toBe(0);
  });

  it('taken up by another gateway goes on where it was', async () => {
    start();
    speak(10);
    tell([said('one', 0, 5 * SECOND)]);
    const snapshot = JSON.parse(JSON.stringify(session.snapshot()));
    const { text } = session.transcript;
    expect(session.keep).toEqual({ utteranceId: 'a', fromSample: 3 * SECOND });
    await session.close();

    sink = new FakeSink();
    session = make({ restored: { snapshot, text, acceptedSamples: 10 * SECOND } });
    expect(session.resume(snapshot)).toEqual({
      id: 'sess_1',
      model: 'm',
      createdAtS: 1_700_000_000,
    });
    expect(session.keep).toEqual({ utteranceId: 'a', fromSample: 3 * SECOND });
    speak(1);
    await turn();
    expect(link.calls[0]).toBe(`resume 1 from ${3 * SECOND}`);
    expect(link.resumes[0]).toEqual({
      heardSample: 5 * SECOND,
      liveSample: 100 * SECOND,
      words: [said('one', 0, 5 * SECOND)],
    });
    speak(7);
    finalize();
    final([said(' two', 8 * SECOND, 9 * SECOND)]);
    expect(sink.events.at(-1)).toMatchObject({ text: 'one two' });
    expect(session.totals).toMatchObject({ utterances: 1, acceptedSamples: 11 * SECOND });
    expect(session.snapshot().utterance).toBeUndefined();
  });
});
