import type { CloseReason, SessionEvent } from '@voice-fleet/protocol/session';
import type { Link } from './link.ts';
import type { SessionSink } from './session.ts';

/** Keeps what a session asks of its worker, one line for each call. */
export class FakeLink implements Link {
  readonly workerId = 'w';
  readonly model = 'm';
  readonly calls: string[] = [];
  release: () => void = () => undefined;
  /** Settles as soon as `release` was called, when the test holds it. */
  closing: Promise<void> | undefined;

  start(utterance: number, fromSample: number): void {
    this.calls.push(`start ${utterance} from ${fromSample}`);
  }
  audio(pcm: Buffer): void {
    this.calls.push(`audio ${pcm.length}`);
  }
  finish(utterance: number): void {
    this.calls.push(`finish ${utterance}`);
  }
  cancel(utterance: number): void {
    this.calls.push(`cancel ${utterance}`);
  }
  async close(): Promise<void> {
    await this.closing;
    this.calls.push('close');
  }
}

/** Keeps what a session says to its client. */
export class FakeSink implements SessionSink {
  readonly events: SessionEvent[] = [];
  readonly ends: CloseReason[] = [];
  readonly holds: boolean[] = [];
  event(event: SessionEvent): void {
    this.events.push(event);
  }
  end(reason: CloseReason): void {
    this.ends.push(reason);
  }
  holdInput(hold: boolean): void {
    this.holds.push(hold);
  }
  workerLost(): void {}
}
