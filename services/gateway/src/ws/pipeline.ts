import type { ClientCommand } from '@voice-fleet/protocol/session';
import type { Logger } from '@voice-fleet/telemetry/logger';
import type { SessionChronicle } from '../chronicle/session-chronicle.ts';
import type { Session } from '../session/session.ts';
import type { SessionSink } from '../session/session-deps.ts';
import type { OutboxLoad } from './outbox.ts';

/** Whose session it is, and where to log about it. */
export interface PipelineOwner {
  readonly tenantId: string;
  readonly log: Logger;
  readonly chronicle: SessionChronicle;
}

/**
 * What stands between a connection and its session, for dialects that want more than words: it takes the client's commands, and
 * what the session tells goes through it.
 */
export interface Pipeline extends SessionSink {
  /** Something of the client's is under way. */
  readonly busy: boolean;
  /** Once, before anything else. */
  attach(session: Session, owner: PipelineOwner): void;
  /** Throws VoiceError when the command is not allowed now. */
  apply(command: ClientCommand): void;
  /** So much waits for a client that does not read it. */
  onLoad(load: OutboxLoad): void;
  /** Tells nothing more; settles when all that was done for the session is over. */
  stop(): Promise<void>;
}
