/** Moments of one connection, in clock milliseconds. */
export interface ConnectionMarks {
  /** Dialling began. */
  dialMs: number;
  /** TCP, TLS and the upgrade are through. */
  openMs?: number;
  /** `session.created` arrived. */
  createdMs?: number;
  /** The client asked for the end. */
  endSentMs?: number;
  closedMs?: number;
}

/** Moments of one utterance, in clock milliseconds. */
export interface UtteranceMarks {
  startMs: number;
  firstAudioMs?: number;
  lastAudioMs?: number;
  /** The closing commit was sent. */
  flushMs?: number;
  /** First token that holds more than blanks. */
  firstWordMs?: number;
  readonly tokenMs: number[];
  finalMs?: number;
  doneMs?: number;
}

export interface UtteranceMetrics {
  /** Length of the recording, however fast it was sent. */
  readonly audioS: number;
  /** First audio sent → first word seen. */
  readonly ttfwMs: number | undefined;
  /** First audio → closing commit. */
  readonly sendMs: number;
  /** First audio → final. */
  readonly finalFromFirstAudioMs: number;
  /** Last audio → final. */
  readonly postSendToFinalMs: number;
  /** Closing commit → final: what a user waits for after the last word. */
  readonly flushToFinalMs: number;
  /** Closing commit → last token; 0 when every token was there before. */
  readonly decodeTailMs: number;
  /** How far the final came behind the end of the audio as sent. */
  readonly behindAudioMs: number;
  /** First audio → final, for each second of audio as sent. */
  readonly rtfServer: number;
  readonly partials: number;
  readonly partialsBeforeLastChunk: number;
  readonly partialGapsMs: readonly number[];
}

export interface SessionMetrics extends UtteranceMetrics {
  readonly connectMs: number;
  readonly handshakeMs: number;
  /** Dial → first audio. */
  readonly firstAudioMs: number;
  /** Dial → final: everything a caller waits for. */
  readonly wallMs: number;
  /** Open → final. */
  readonly finalFromConnectMs: number;
  /** Dial → final, for each second of audio as sent. */
  readonly rtfFull: number;
  /** Seconds of audio as sent, for each second of wall time. */
  readonly xRt: number;
  /** End asked → socket closed. */
  readonly closeMs: number;
  /** Final → socket closed. */
  readonly postFinalMs: number;
  readonly sessionMs: number;
}

/**
 * Turns the marks of a finished utterance into durations; throws when it is not finished. Audio sent at `speed` lasts that
 * much shorter, and no server can be done before it has ended.
 */
export function utteranceMetrics(
  marks: UtteranceMarks,
  audioS: number,
  speed = 1,
): UtteranceMetrics {
  const sentS = audioS / speed;
  const firstAudioMs = reached(marks.firstAudioMs, 'first audio');
  const lastAudioMs = reached(marks.lastAudioMs, 'last audio');
  const flushMs = reached(marks.flushMs, 'closing commit');
  const finalMs = reached(marks.finalMs, 'final');
  const lastTokenMs = marks.tokenMs.at(-1) ?? flushMs;
  const finalFromFirstAudioMs = finalMs - firstAudioMs;
  return {
    audioS,
    ttfwMs: marks.firstWordMs === undefined ? undefined : marks.firstWordMs - firstAudioMs,
    sendMs: flushMs - firstAudioMs,
    finalFromFirstAudioMs,
    postSendToFinalMs: finalMs - lastAudioMs,
    flushToFinalMs: finalMs - flushMs,
    decodeTailMs: Math.max(0, lastTokenMs - flushMs),
    behindAudioMs: finalFromFirstAudioMs - sentS * 1000,
    rtfServer: finalFromFirstAudioMs / 1000 / sentS,
    partials: marks.tokenMs.length,
    partialsBeforeLastChunk: marks.tokenMs.filter((atMs) => atMs < lastAudioMs).length,
    partialGapsMs: marks.tokenMs.slice(1).map((atMs, i) => atMs - (marks.tokenMs[i] ?? atMs)),
  };
}

/** The same for a session of one utterance, with what the connection cost. */
export function sessionMetrics(
  connection: ConnectionMarks,
  utterance: UtteranceMarks,
  audioS: number,
  speed = 1,
): SessionMetrics {
  const sentS = audioS / speed;
  const { dialMs } = connection;
  const openMs = reached(connection.openMs, 'open');
  const createdMs = reached(connection.createdMs, 'session.created');
  const endSentMs = reached(connection.endSentMs, 'end');
  const closedMs = reached(connection.closedMs, 'close');
  const finalMs = reached(utterance.finalMs, 'final');
  const wallMs = finalMs - dialMs;
  return {
    ...utteranceMetrics(utterance, audioS, speed),
    connectMs: openMs - dialMs,
    handshakeMs: createdMs - openMs,
    firstAudioMs: reached(utterance.firstAudioMs, 'first audio') - dialMs,
    wallMs,
    finalFromConnectMs: finalMs - openMs,
    rtfFull: wallMs / 1000 / sentS,
    xRt: (sentS * 1000) / wallMs,
    closeMs: closedMs - endSentMs,
    postFinalMs: closedMs - finalMs,
    sessionMs: closedMs - dialMs,
  };
}

/** How long one session may take: twice the audio plus room to connect and decode, never over ten minutes. */
export function sessionTimeoutMs(audioS: number): number {
  return 1000 * Math.min(600, Math.max(30, 2 * (audioS + 30 + 10) + 5));
}

function reached(mark: number | undefined, name: string): number {
  if (mark === undefined) throw new Error(`The session never reached its mark "${name}".`);
  return mark;
}
