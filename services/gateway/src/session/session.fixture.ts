import type { LinkResume } from '@voice-fleet/protocol/link';
import type { CloseReason, SessionEvent } from '@voice-fleet/protocol/session';
import type { Link, LinkRequest, LinkStart, Route } from './link.ts';
import type { SessionSink } from './session-deps.ts';

/** Keeps what a session asks of its worker, one line for each call. */
export class FakeLink implements Link {
  readonly workerId = 'w';
  readonly model = 'm';
  readonly calls: string[] = [];
  release: () => void = () => undefined;
  /** Settles as soon as `release` was called, when the test holds it. */
  closing: Promise<void> | undefined;

  /** What it was told of utterances begun elsewhere. */
  readonly resumes: LinkResume[] = [];

  start(utterance: number, fromSample: number, { resume, endpoint }: LinkStart = {}): void {
    if (resume) this.resumes.push(resume);
    const end = endpoint ? ` to ${endpoint.silenceMs}${endpoint.begun ? ' begun' : ''}` : '';
    this.calls.push(`${resume ? 'resume' : 'start'} ${utterance} from ${fromSample}${end}`);
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

/** Answers requests for a link in turn; the last answer goes on for ever. */
export class FakeRoute implements Route {
  readonly requests: LinkRequest[] = [];
  answers: (() => Promise<Link>)[] = [];
  released = 0;
  /** Whose slot is held. */
  workerId: string | undefined = 'w';
  delayMs: number | undefined;
  /** Another worker would be nearer to each wish. */
  farther = false;

  async wish(): Promise<boolean> {
    return this.farther;
  }

  connect(request: LinkRequest): Promise<Link> {
    this.requests.push(request);
    const answer = this.answers.length > 1 ? this.answers.shift() : this.answers[0];
    return answer?.() ?? Promise.reject(new Error('no answer'));
  }
  async release(): Promise<void> {
    this.released += 1;
  }
}

/** Keeps what a session says to its client. */
export class FakeSink implements SessionSink {
  readonly events: SessionEvent[] = [];
  readonly ends: CloseReason[] = [];
  readonly holds: boolean[] = [];
  busy = false;
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
  readonly letGone: string[] = [];
  letGo(utteranceId: string): void {
    this.letGone.push(utteranceId);
  }
  readonly speeches: string[] = [];
  speech(...facts: (string | number)[]): void {
    this.speeches.push(facts.join(' '));
  }
  readonly moves: string[] = [];
  moved(cause: string): void {
    this.moves.push(cause);
  }
}
