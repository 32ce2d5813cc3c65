import type { YapServerFrame } from '@voice-fleet/protocol/yap';

export type YapErrorFrame = Extract<YapServerFrame, { type: 'error' }>;

/**
 * A wrong key, the tenant's audio of the day used up, its sessions too many or too fast, no free slot, or a fleet that admits
 * nobody now (starting, stopping, without workers or Redis).
 */
export type YapRejection = 'auth' | 'quota' | 'limit' | 'capacity' | 'unavailable';

/** The server would not admit the session. */
export class YapRejected extends Error {
  override readonly name = 'YapRejected';
  readonly reason: YapRejection;

  constructor(reason: YapRejection, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** The server answered with an error frame. */
export class YapServerError extends Error {
  override readonly name = 'YapServerError';
  readonly frame: YapErrorFrame;

  constructor(frame: YapErrorFrame) {
    super(frame.payload.message);
    this.frame = frame;
  }

  get code(): string {
    return this.frame.payload.code;
  }

  get reasonCode(): string {
    return this.frame.payload.details.reason_code;
  }
}

/** Nothing came within the time allowed. */
export class YapTimeout extends Error {
  override readonly name = 'YapTimeout';
  readonly awaited: string;

  constructor(awaited: string, timeoutMs: number) {
    super(`Timed out after ${timeoutMs / 1000} s waiting for ${awaited}.`);
    this.awaited = awaited;
  }
}

/** The connection ended while something was awaited. */
export class YapConnectionClosed extends Error {
  override readonly name = 'YapConnectionClosed';
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string) {
    super(`The connection closed with code ${code}${reason ? ` (${reason})` : ''}.`);
    this.code = code;
    this.reason = reason;
  }
}

/** No WebSocket came about: refused, unknown host, TLS, or an HTTP answer instead of an upgrade. */
export class YapUnreachable extends Error {
  override readonly name = 'YapUnreachable';
  readonly httpStatus: number | undefined;

  constructor(message: string, options: { httpStatus?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.httpStatus = options.httpStatus;
  }
}

/** The server sent something that is not the yap dialect. */
export class YapProtocolError extends Error {
  override readonly name = 'YapProtocolError';
}

/** The utterance was given up by this client, by `cancel` or by starting another. */
export class YapCancelled extends Error {
  override readonly name = 'YapCancelled';
}

/** The session cannot be taken up again: the server refused the resume token. */
export class YapResumeRefused extends Error {
  override readonly name = 'YapResumeRefused';
}

/** No server could be reached in the time in which the session could have been taken up again; `cause` is the last failure. */
export class YapResumeFailed extends Error {
  override readonly name = 'YapResumeFailed';
}

/** More audio than may be kept waits to be sent. Nothing of the piece was taken. */
export class YapBufferFull extends Error {
  override readonly name = 'YapBufferFull';
}

/** The server asked for audio that is no longer kept. */
export class YapAudioGone extends Error {
  override readonly name = 'YapAudioGone';
}

const LIMITS: Readonly<Partial<Record<string, YapRejection>>> = {
  too_many_sessions: 'limit',
  session_rate_limited: 'limit',
  audio_quota_exhausted: 'quota',
};

export function failureOfFrame(
  frame: YapErrorFrame,
): YapRejected | YapResumeRefused | YapServerError {
  const { code, message, details } = frame.payload;
  if (code === 'resume_refused') return new YapResumeRefused(message);
  const limit = LIMITS[details.reason_code];
  if (limit) return new YapRejected(limit, message);
  if (code === 'authentication_failed') return new YapRejected('auth', message);
  if (code === 'server_at_capacity') return new YapRejected('capacity', message);
  // Never said to a session that was admitted: that one is told `worker_unavailable`.
  if (details.reason_code === 'fleet_unavailable') return new YapRejected('unavailable', message);
  return new YapServerError(frame);
}

const RESUME_REFUSED_CODE = 4006;
const REJECTING_CODES: Readonly<Partial<Record<number, YapRejection>>> = {
  1008: 'auth',
  1012: 'unavailable',
  1013: 'capacity',
};

/** A close before `session.created` by one of these codes is a rejection even without an error frame. */
export function failureOfClose(
  code: number,
  reason: string,
  admitted: boolean,
): YapRejected | YapResumeRefused | YapConnectionClosed {
  if (code === RESUME_REFUSED_CODE) return new YapResumeRefused(reason || `Closed with ${code}.`);
  const rejection = admitted ? undefined : REJECTING_CODES[code];
  if (rejection) return new YapRejected(rejection, reason || `Closed with ${code}.`);
  return new YapConnectionClosed(code, reason);
}

export function failureOfHttpStatus(status: number): YapRejected | YapUnreachable {
  const message = `The server answered HTTP ${status} instead of opening a WebSocket.`;
  if (status === 401 || status === 403) return new YapRejected('auth', message);
  if (status === 429) return new YapRejected('capacity', message);
  if (status === 503) return new YapRejected('unavailable', message);
  return new YapUnreachable(message, { httpStatus: status });
}
