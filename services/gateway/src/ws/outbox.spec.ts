import { beforeEach, describe, expect, it } from '@jest/globals';
import type { SessionEvent } from '@voice-fleet/protocol/session';
import { Outbox } from './outbox.ts';

const FULL = 256 * 1024 + 1;

/** A socket that is as full as the test says. */
class FakeSocket {
  bufferedAmount = 0;
  readonly sent: string[] = [];
  #unconfirmed: (() => void)[] = [];

  send(frame: string, done: () => void): void {
    this.sent.push(frame);
    this.#unconfirmed.push(done);
  }

  /** The peer has read: all frames so far are on their way and `left` bytes remain. */
  drain(left = 0): void {
    this.bufferedAmount = left;
    for (const done of this.#unconfirmed.splice(0)) done();
  }
}

/** One short line for each event, so that order and merging can be read off. */
function line(event: SessionEvent): readonly string[] {
  switch (event.kind) {
    case 'partial':
      return event.text === '' ? [] : [`${event.utteranceId}+${event.text}|${event.tail}`];
    case 'transcript':
      return [`${event.utteranceId}~${event.text}`];
    case 'final':
      return [`${event.utteranceId}=${event.text}`, `${event.utteranceId} done`];
    default:
      return [event.kind];
  }
}

const partial = (utteranceId: string, text: string, tail = ''): SessionEvent => ({
  kind: 'partial',
  utteranceId,
  text,
  tail,
});
const final = (utteranceId: string, text: string): SessionEvent => ({
  kind: 'final',
  utteranceId,
  text,
  usage: { promptTokens: 0, completionTokens: 0 },
});

describe('Outbox', () => {
  let socket: FakeSocket;
  let outbox: Outbox;
  let overflows: number;

  beforeEach(() => {
    socket = new FakeSocket();
    overflows = 0;
    outbox = new Outbox(socket, line, () => {
      overflows += 1;
    });
    outbox.send({ kind: 'pong' });
    socket.sent.length = 0;
  });

  it('writes every event at once while the client reads', () => {
    outbox.send(partial('a', 'one'));
    outbox.send(partial('a', 'two'));
    outbox.send(final('a', 'onetwo'));
    expect(socket.sent).toEqual(['a+one|', 'a+two|', 'a=onetwo', 'a done']);
    expect(outbox.waiting).toBe(0);
  });

  it('lets events wait while the socket is full and writes them in order when it drains', () => {
    socket.bufferedAmount = FULL;
    outbox.send(partial('a', 'one'));
    outbox.send({ kind: 'pong' });
    outbox.send(final('a', 'one'));
    expect(socket.sent).toEqual([]);
    socket.drain();
    expect(socket.sent).toEqual(['a+one|', 'pong', 'a=one', 'a done']);
    expect(outbox.waiting).toBe(0);
  });

  it('keeps the order when the socket has room again but earlier events still wait', () => {
    socket.bufferedAmount = FULL;
    outbox.send({ kind: 'pong' });
    socket.bufferedAmount = 0;
    outbox.send(final('a', 'x'));
    expect(socket.sent).toEqual([]);
    socket.drain();
    expect(socket.sent).toEqual(['pong', 'a=x', 'a done']);
  });

  it('merges waiting partials of one utterance without losing text, the last tail with them', () => {
    socket.bufferedAmount = FULL;
    for (const text of ['one', ' two', ' three']) outbox.send(partial('a', text, `?${text}`));
    expect(outbox.waiting).toBe(1);
    socket.drain();
    expect(socket.sent).toEqual(['a+one two three|? three']);
  });

  it('merges no partials of two utterances, nor across another event', () => {
    socket.bufferedAmount = FULL;
    outbox.send(partial('a', '1'));
    outbox.send(partial('b', '2'));
    outbox.send({ kind: 'pong' });
    outbox.send(partial('b', '3'));
    outbox.send(partial('b', '4'));
    socket.drain();
    expect(socket.sent).toEqual(['a+1|', 'b+2|', 'pong', 'b+34|']);
  });

  it('stays put when a frame was sent but the socket is still full', () => {
    socket.bufferedAmount = FULL;
    outbox.send({ kind: 'pong' });
    socket.drain(FULL);
    expect(socket.sent).toEqual([]);
    expect(outbox.waiting).toBe(1);
  });

  it('overflows once, lets go of what waits, and takes nothing more', () => {
    socket.bufferedAmount = FULL;
    for (let index = 0; index < 1024; index += 1) outbox.send({ kind: 'pong' });
    expect([overflows, outbox.waiting]).toEqual([0, 1024]);
    outbox.send({ kind: 'pong' });
    outbox.send({ kind: 'pong' });
    expect([overflows, outbox.waiting]).toEqual([1, 0]);
    socket.drain();
    outbox.flushAll();
    outbox.send({ kind: 'ended' });
    expect(socket.sent).toEqual([]);
  });

  it('overflows on few large frames as on many small ones', () => {
    const large = new Outbox(
      socket,
      () => ['x'.repeat(100_000)],
      () => {
        overflows += 1;
      },
    );
    socket.bufferedAmount = FULL;
    let taken = 0;
    while (overflows === 0 && taken < 1024) {
      large.send({ kind: 'pong' });
      taken += 1;
    }
    expect([overflows, taken, large.waiting]).toEqual([1, 11, 0]);
  });

  it('counts only what waits: a slow reader that reads all in the end never overflows', () => {
    const text = 'x'.repeat(1000);
    for (let round = 0; round < 20; round += 1) {
      socket.bufferedAmount = FULL;
      for (let index = 0; index < 900; index += 1) outbox.send(final('a', text));
      socket.drain();
    }
    expect([overflows, outbox.waiting, socket.sent.length]).toEqual([0, 0, 36_000]);
  });

  it('does not take a partial that grows as it merges for ever', () => {
    socket.bufferedAmount = FULL;
    const text = 'x'.repeat(10_000);
    for (let index = 0; index < 1_000 && overflows === 0; index += 1)
      outbox.send(partial('a', text));
    expect([overflows, outbox.waiting]).toEqual([1, 0]);
  });

  it('writes all that waits before a close, however full the socket is', () => {
    socket.bufferedAmount = FULL;
    outbox.send(partial('a', '1'));
    outbox.send({ kind: 'ended' });
    outbox.flushAll();
    expect(socket.sent).toEqual(['a+1|', 'ended']);
  });

  it('tells how many events wait, also when they overflow or are flushed', () => {
    let waiting = 0;
    const counted = new Outbox(
      socket,
      line,
      () => undefined,
      (change) => {
        waiting += change;
      },
    );
    const waitingAfter = (act: () => void): number => {
      act();
      return waiting;
    };
    expect(waitingAfter(() => counted.send({ kind: 'pong' }))).toBe(0);
    socket.bufferedAmount = FULL;
    expect(waitingAfter(() => counted.send(partial('a', '1')))).toBe(1);
    expect(waitingAfter(() => counted.send(partial('a', '2')))).toBe(1);
    expect(waitingAfter(() => counted.send(final('a', '12')))).toBe(2);
    expect(waitingAfter(() => socket.drain())).toBe(0);
    socket.bufferedAmount = FULL;
    expect(waitingAfter(() => counted.send({ kind: 'pong' }))).toBe(1);
    expect(waitingAfter(() => counted.flushAll())).toBe(0);
    for (let index = 0; index < 1024; index += 1) counted.send({ kind: 'pong' });
    expect(waiting).toBe(1024);
    expect(waitingAfter(() => counted.send({ kind: 'pong' }))).toBe(0);
  });

  it('keeps the last of whole transcripts that wait, and counts no more than that', () => {
    socket.bufferedAmount = FULL;
    const transcript = (utteranceId: string, text: string): SessionEvent => ({
      kind: 'transcript',
      utteranceId,
      text,
    });
    for (let n = 1; n <= 2000; n += 1) outbox.send(transcript('a', 'x'.repeat(n)));
    expect(outbox.load).toEqual({ events: 1, chars: 2000 });
    outbox.send(transcript('b', 'other'));
    outbox.send(final('b', 'end'));
    outbox.send(transcript('b', 'late'));
    socket.drain();
    expect(socket.sent).toEqual([`a~${'x'.repeat(2000)}`, 'b~other', 'b=end', 'b done', 'b~late']);
    expect([outbox.load, overflows]).toEqual([{ events: 0, chars: 0 }, 0]);
  });

  it('has room for so many characters as it is told', () => {
    outbox = new Outbox(
      socket,
      line,
      () => {
        overflows += 1;
      },
      () => undefined,
      3 * 1024 * 1024,
    );
    socket.bufferedAmount = FULL;
    const half = 'x'.repeat(1024 * 1024);
    for (const utteranceId of ['a', 'b']) outbox.send(final(utteranceId, half));
    expect(overflows).toBe(0);
    outbox.send(final('c', half));
    expect(overflows).toBe(1);
  });
});
