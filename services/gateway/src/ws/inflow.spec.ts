import { EventEmitter } from 'node:events';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { Inflow } from './inflow.ts';

const RATE = 1_000;

class FakeSocket extends EventEmitter {
  paused = false;
  /** Pauses and resumes so far. */
  changes = 0;

  pause(): void {
    this.changes += 1;
    this.paused = true;
  }

  resume(): void {
    this.changes += 1;
    this.paused = false;
  }
}

describe('Inflow', () => {
  let clock: FakeClock;
  let socket: FakeSocket;
  let stream: { bytesRead: number };
  let inflow: Inflow;
  let rateHolds: number;
  let resumes: number;

  function inflowOf(bytesPerS: number): Inflow {
    return new Inflow(socket, {
      clock,
      bytesPerS,
      onRateHold: () => {
        rateHolds += 1;
      },
      onResume: () => {
        resumes += 1;
      },
    });
  }

  const receive = (bytes: number, frame = 'message'): void => {
    stream.bytesRead += bytes;
    socket.emit(frame);
  };

  beforeEach(() => {
    clock = new FakeClock();
    socket = new FakeSocket();
    stream = { bytesRead: 500 };
    rateHolds = 0;
    resumes = 0;
    inflow = inflowOf(RATE);
    inflow.watch(stream);
  });

  it('reads four seconds of the rate at once, and stops at the byte after that', () => {
    receive(4 * RATE);
    expect(socket.paused).toBe(false);
    receive(1);
    expect([socket.paused, rateHolds]).toEqual([true, 1]);
  });

  it('reads a client at its rate for ever without a pause', () => {
    for (let second = 0; second < 100; second += 1) {
      receive(RATE);
      clock.advance(1_000);
    }
    expect(socket.changes).toBe(0);
  });

  it('reads a client that sends all it can at the rate on average, whatever the size of its frames', () => {
    let sent = 0;
    for (let ms = 0; ms < 60_000; ms += 10) {
      if (!socket.paused) {
        receive(700);
        sent += 700;
      }
      clock.advance(10);
    }
    expect(sent).toBeLessThanOrEqual(64 * RATE + 700);
    expect(sent).toBeGreaterThan(63 * RATE);
  });

  it('waits for as long as a frame larger than the burst is worth', () => {
    receive(10 * RATE);
    clock.advance(6_049);
    expect(socket.paused).toBe(true);
    clock.advance(1);
    expect([socket.paused, clock.pending, resumes]).toEqual([false, 0, 1]);
  });

  it('counts what still comes after the pause, and waits for that, too', () => {
    receive(5 * RATE);
    receive(2 * RATE);
    clock.advance(3_000);
    expect(socket.paused).toBe(true);
    clock.advance(100);
    expect([socket.paused, rateHolds]).toEqual([false, 1]);
  });

  it.each(['ping', 'pong'])('counts %ss as all else', (frame) => {
    receive(4 * RATE + 1, frame);
    expect(socket.paused).toBe(true);
  });

  it('saves up no more than four seconds', () => {
    receive(4 * RATE);
    clock.advance(3_600_000);
    receive(4 * RATE);
    expect(socket.paused).toBe(false);
    receive(1);
    expect(socket.paused).toBe(true);
  });

  it.each([
    ['the rate', 'worker'],
    ['the worker', 'rate'],
  ])('is not read again while only %s agrees', (_, lasting) => {
    inflow.hold('worker', true);
    receive(4 * RATE + 1);
    expect(socket.changes).toBe(1);
    if (lasting === 'worker') clock.advance(60_000);
    else inflow.hold('worker', false);
    expect(socket.paused).toBe(true);
    if (lasting === 'worker') inflow.hold('worker', false);
    else clock.advance(51);
    expect([socket.paused, resumes]).toEqual([false, 1]);
  });

  it('needs no more than one word of a reason that spoke twice', () => {
    inflow.hold('worker', true);
    inflow.hold('worker', true);
    inflow.hold('worker', false);
    expect(socket.paused).toBe(false);
    inflow.hold('worker', false);
    expect(socket.changes).toBe(2);
  });

  it('shows one reason as a socket of its own', () => {
    const view = inflow.forReason('admission');
    view.pause();
    inflow.hold('worker', true);
    view.resume();
    expect(socket.paused).toBe(true);
    inflow.hold('worker', false);
    expect(socket.paused).toBe(false);
  });

  it('is read whatever speaks against it once it is stopped, and leaves no timer', () => {
    inflow.hold('worker', true);
    receive(5 * RATE);
    inflow.stop();
    expect([socket.paused, clock.pending]).toEqual([false, 0]);
    inflow.hold('worker', true);
    receive(50 * RATE);
    expect([socket.paused, clock.pending]).toEqual([false, 0]);
  });

  it('counts nothing with a rate of 0', () => {
    const free = inflowOf(0);
    socket.removeAllListeners();
    free.watch(stream);
    receive(1e9);
    expect(socket.paused).toBe(false);
    free.hold('worker', true);
    expect(socket.paused).toBe(true);
  });
});
