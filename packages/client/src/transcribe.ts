import type { Clock } from '@voice-fleet/runtime/clock';
import { durationS, pacedChunks } from './audio-source.ts';
import type { YapContinuity } from './continuity.ts';
import { type SessionMetrics, sessionMetrics, sessionTimeoutMs } from './marks.ts';
import { ResumableYapClient } from './resumable-yap-client.ts';
import { YapClient, type YapConnectOptions } from './yap-client.ts';
import { YapTimeout } from './yap-errors.ts';
import type { YapTranscript, YapUtterance, YapUtteranceHandlers } from './yap-utterance.ts';

export interface TranscribeOptions {
  readonly clock: Clock;
  readonly handlers?: YapUtteranceHandlers;
  readonly speed?: number;
  readonly signal?: AbortSignal;
  /** From the first audio to `done`. */
  readonly timeoutMs: number;
}

/** Speaks one recording into an open session, at the pace of a microphone. */
export async function transcribe(
  client: { utterance(handlers?: YapUtteranceHandlers): YapUtterance },
  pcm: Buffer,
  options: TranscribeOptions,
): Promise<YapTranscript> {
  const { clock, handlers, speed, timeoutMs } = options;
  const utterance = client.utterance(handlers);
  const signals = options.signal ? [utterance.failed, options.signal] : [utterance.failed];
  const pace = { clock, signal: AbortSignal.any(signals), speed: speed ?? 1 };
  const startMs = clock.now();
  for await (const chunk of pacedChunks(pcm, pace)) utterance.append(chunk);
  utterance.finalize();
  return await utterance.result(Math.max(0, timeoutMs - (clock.now() - startMs)));
}

export interface OpenOptions extends YapConnectOptions {
  /** The session survives its connection. */
  readonly resumable?: boolean | undefined;
  /** Gateways of one fleet for a session that does; default: `url` alone. */
  readonly urls?: readonly URL[];
}

/** Connects as the options say. */
export async function openSession(options: OpenOptions): Promise<YapClient | ResumableYapClient> {
  const { url, urls = [url], resumable } = options;
  if (resumable) return await ResumableYapClient.connect({ ...options, urls });
  return await YapClient.connect(options);
}

/** What a resumable session went through; undefined for others. */
export function continuityOf(client: YapClient | ResumableYapClient): YapContinuity | undefined {
  return client instanceof ResumableYapClient ? client.continuity : undefined;
}

export interface SessionOptions extends OpenOptions {
  readonly clock: Clock;
  readonly handlers?: YapUtteranceHandlers;
  readonly speed?: number;
  /** For the whole session, dial to close; default `sessionTimeoutMs` of the audio as paced, and `waitS`. */
  readonly timeoutMs?: number;
}

export interface SessionReport {
  readonly sessionId: string;
  readonly transcript: YapTranscript;
  readonly metrics: SessionMetrics;
  readonly continuity: YapContinuity | undefined;
}

/** A whole session: connect, one utterance, end. However it fails, the socket is closed. */
export async function runSession(pcm: Buffer, options: SessionOptions): Promise<SessionReport> {
  const { clock, speed = 1, waitS = 0 } = options;
  const audioS = durationS(pcm);
  const timeoutMs = options.timeoutMs ?? sessionTimeoutMs(audioS / speed) + waitS * 1000;
  const startMs = clock.now();
  const deadline = new AbortController();
  const timer = clock.after(timeoutMs, () =>
    deadline.abort(new YapTimeout('the session to end', timeoutMs)),
  );
  const signal = options.signal
    ? AbortSignal.any([options.signal, deadline.signal])
    : deadline.signal;
  let client: YapClient | ResumableYapClient | undefined;
  try {
    client = await openSession({ ...options, signal });
    const transcript = await transcribe(client, pcm, {
      ...options,
      signal,
      timeoutMs: timeoutMs - (clock.now() - startMs),
    });
    await client.end();
    const metrics = sessionMetrics(client.marks, transcript.marks, audioS, speed);
    const continuity = continuityOf(client);
    return { sessionId: client.sessionId, transcript, metrics, continuity };
  } finally {
    timer.cancel();
    await client?.close();
  }
}
