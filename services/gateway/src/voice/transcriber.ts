import type { LinePriority } from '@voice-fleet/fleet/lease';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { LinkWord } from '@voice-fleet/protocol/link';
import type { Clock } from '@voice-fleet/runtime/clock';
import { BYTES_PER_SAMPLE, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { Logger } from '@voice-fleet/telemetry/logger';
import type { Tracer } from '@voice-fleet/telemetry/tracing/tracer';
import { type AdmissionOutcome, admissionOutcome, codeOf } from '../admission-outcome.ts';
import { SessionChronicle } from '../chronicle/session-chronicle.ts';
import type { GatewayMetrics } from '../metrics.ts';
import type { SessionUsage, UsageOwner } from '../usage/session-usage.ts';
import type { Admission, Admitted } from '../ws/admission.ts';
import { endReason } from '../ws/close-reason.ts';
import { type RecordedSpeech, RecordingSession } from './recording-session.ts';

/** How these sessions are told from those of sockets, in metrics and logs. */
export const HTTP_PROTOCOL = 'http';

export interface TranscriberDeps {
  readonly clock: Clock;
  readonly admission: Pick<Admission, 'admit'>;
  /** Opens the books of an admitted session. */
  readonly usage: (admitted: Admitted, owner: UsageOwner) => SessionUsage;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
  readonly tracer: Tracer;
  /** A recording that gets on in no way for so long has failed. */
  readonly patienceMs: number;
}

/** What a request wishes of its transcription beside the text. */
export interface TranscribeOptions {
  /** Name of the model, or an alias; absent: whatever is served. */
  readonly model?: string | undefined;
  /** Told of words as they settle; joined they are the text. Not called any more when the transcription has failed. */
  readonly onWords?: (words: readonly LinkWord[]) => void;
  /** Of the request. */
  readonly trace?: RequestTrace | undefined;
}

/** Where a request stands among others. */
export interface RequestTrace {
  readonly path: string;
  readonly traceparent: string | undefined;
}

export interface Transcription extends RecordedSpeech {
  /** Length of the recording at 16 kHz. */
  readonly durationSamples: number;
  readonly sessionId: string;
  readonly tenantId: string;
  /** Name of the model that transcribed it. */
  readonly model: string;
  /** Unix time in seconds at which it was admitted. */
  readonly createdAtS: number;
}

/** Transcribes whole recordings: each is a session of its own, admitted, limited and booked as that of a socket. */
export class Transcriber {
  readonly #deps: TranscriberDeps;

  constructor(deps: TranscriberDeps) {
    this.#deps = deps;
  }

  /**
   * What is said in `pcm` (PCM16, 16 kHz), with the time of each word. Rejects with VoiceError; with `cancelled` when `signal` aborts. When it settles, its slot
   * is given back and its audio booked.
   */
  async transcribe(
    apiKey: string,
    pcm: Buffer,
    signal: AbortSignal,
    { model, onWords, trace }: TranscribeOptions = {},
  ): Promise<Transcription> {
    const { clock, patienceMs, metrics, tracer } = this.#deps;
    let log = this.#deps.log.child({ protocol: HTTP_PROTOCOL });
    const chronicle = new SessionChronicle(
      {
        protocol: HTTP_PROTOCOL,
        method: 'POST',
        path: trace?.path ?? '',
        traceparent: trace?.traceparent,
      },
      { clock, tracer, log },
    );
    const recording = new RecordingSession({
      clock,
      patienceMs,
      onAudio: (samples) => metrics.audioSeconds.labels(HTTP_PROTOCOL).inc(samples / SAMPLE_RATE),
      onTrouble: (event, cause) => log.warn({ event, cause }),
      onWords,
    });
    const onAbort = (): void => recording.fail(new VoiceError('cancelled'));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const admitted = await this.#admit(apiKey, model, recording, chronicle);
      const { traceId: trace_id } = chronicle;
      log = log.child({ sid: admitted.session.id, ...(trace_id && { trace_id }) });
      chronicle.named(admitted.session, log);
      return await this.#run(admitted, recording, pcm, { chronicle, log });
    } catch (error) {
      const failure = recording.failure ?? error;
      metrics.countError(failure instanceof VoiceError ? failure.code : 'internal');
      throw failure;
    } finally {
      signal.removeEventListener('abort', onAbort);
      await recording.close();
    }
  }

  async #admit(
    apiKey: string,
    model: string | undefined,
    recording: RecordingSession,
    chronicle: SessionChronicle,
  ): Promise<Admitted> {
    const { admission, metrics, clock } = this.#deps;
    let tier: LinePriority | undefined;
    const count = (outcome: AdmissionOutcome, error?: unknown): void => {
      chronicle.admitted(outcome, error === undefined ? undefined : codeOf(error));
      metrics.countAdmission(HTTP_PROTOCOL, outcome);
      if (tier) metrics.tierAdmissions.labels(tier, outcome).inc();
    };
    const sinceMs = clock.now();
    try {
      const admitted = await admission.admit(
        { apiKey, resumable: false, acks: false, waitMs: 0, ...(model && { model }) },
        {
          sink: recording,
          chronicle,
          onSession: (session, { limits }) => {
            chronicle.named(session, this.#deps.log);
            tier = limits.priority;
            recording.hold(session);
          },
          fail: (error) => recording.fail(error),
        },
      );
      if (recording.failure) throw recording.failure;
      const tookS = (clock.now() - sinceMs) / 1000;
      metrics.admissionSeconds.record(tookS, {}, chronicle.traceId);
      count('accepted');
      return admitted;
    } catch (error) {
      const { failure } = recording;
      const cause = failure ?? error;
      count(failure?.code === 'cancelled' ? 'abandoned' : admissionOutcome(cause), cause);
      throw error;
    }
  }

  async #run(
    admitted: Admitted,
    recording: RecordingSession,
    pcm: Buffer,
    { chronicle, log }: { readonly chronicle: SessionChronicle; readonly log: Logger },
  ): Promise<Transcription> {
    const { clock, metrics } = this.#deps;
    const { session, info, principal } = admitted;
    const { tenantId, keyId } = principal;
    const sinceMs = clock.now();
    const active = metrics.sessionsActive.labels(HTTP_PROTOCOL);
    const tierActive = metrics.tierSessionsActive.labels(principal.limits.priority);
    active.inc();
    tierActive.inc();
    const usage = this.#deps.usage(admitted, recording);
    log.info({ event: 'session_started', tenant: tenantId, key: keyId, resumed: false });
    try {
      const speech = await recording.transcribe(pcm, usage);
      const durationSamples = pcm.length / BYTES_PER_SAMPLE;
      const { id: sessionId, model, createdAtS } = info;
      return { ...speech, durationSamples, sessionId, tenantId, model, createdAtS };
    } finally {
      await Promise.all([recording.close(), usage.close()]);
      active.dec();
      tierActive.dec();
      const { failure } = recording;
      const cancelled = failure?.code === 'cancelled';
      const reason = failure === undefined ? 'ended' : cancelled ? 'gone' : 'error';
      const durationS = (clock.now() - sinceMs) / 1000;
      const why =
        reason === 'error' && failure ? ({ kind: 'error', error: failure } as const) : undefined;
      metrics.sessionSeconds.labels(why ? endReason(why) : reason).observe(durationS);
      const heard = metrics.tierAudioSeconds.labels(principal.limits.priority);
      heard.inc(session.recordedSamples / SAMPLE_RATE);
      const code = failure && { code: failure.code };
      const { turns: _turns, ...report } = chronicle.close(reason);
      log.info({
        event: 'session_ended',
        reason,
        ...code,
        durationS,
        ...session.totals,
        ...report,
      });
    }
  }
}
