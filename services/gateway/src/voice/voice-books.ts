import type { VoiceError } from '@voice-fleet/protocol/errors';
import type { FinalizeReason, LatencyMarks } from '@voice-fleet/protocol/session';
import type { Logger } from '@voice-fleet/telemetry/logger';
import type { SessionChronicle } from '../chronicle/session-chronicle.ts';
import type { VoiceMetrics } from '../metrics.ts';
import { type Delta, deltas } from './latency.ts';
import type { Phase } from './phase.ts';
import type { DecodeRun } from './rtf-watch.ts';
import type { TurnOutcome } from './turn.ts';

/** What one voice session leaves in the log and the metrics. Never what was said. */
export class VoiceBooks {
  readonly #metrics: VoiceMetrics;
  readonly #log: Logger;
  readonly #logLatency: boolean;
  readonly #chronicle: SessionChronicle;

  constructor(
    metrics: VoiceMetrics,
    log: Logger,
    logLatency: boolean,
    chronicle: SessionChronicle,
  ) {
    this.#chronicle = chronicle;
    chronicle.expectAnswers();
    this.#metrics = metrics;
    this.#log = log;
    this.#logLatency = logLatency;
  }

  phase(from: Phase, to: Phase, utterance: string | undefined): void {
    this.#log.info({ event: 'phase', from, to, utterance });
  }

  decode(utterance: string | undefined, { rtf, ms, changed }: DecodeRun): void {
    this.#metrics.decodeRtf.observe(rtf);
    const facts = { event: 'decode', utterance, rtf: Math.round(rtf * 1000) / 1000, ms };
    if (changed) this.#log.info(facts);
    else this.#log.debug(facts);
  }

  utterance(
    utterance: string,
    reason: FinalizeReason,
    facts: { audioMs: number; runs: number; ms: number },
  ): void {
    this.#metrics.utterances.labels(reason).inc();
    this.#log.info({ event: 'metrics', utterance, reason, ...facts });
  }

  turnStarted(utterance: string, model: string, tts: string | undefined): void {
    this.#log.info({ event: 'turn_started', utterance, model, tts });
  }

  turn(utterance: string, outcome: TurnOutcome): void {
    this.#metrics.turns.labels(outcome).inc();
    this.#chronicle.turnEnded(outcome);
    if (outcome === 'barged_in') this.#metrics.bargeIns.inc();
    this.#log.info({ event: 'turn_ended', utterance, outcome });
  }

  latency(utterance: string, marks: LatencyMarks): void {
    const traceId = this.#chronicle.over(utterance, marks);
    const found = deltas(marks);
    for (const [name, ms] of Object.entries(found) as [Delta, number][])
      this.#metrics.latencySeconds.record(ms / 1000, { delta: name }, traceId);
    if (this.#logLatency) this.#log.info({ event: 'latency', utterance, ...marks, ...found });
  }

  error(utterance: string | undefined, { code, cause }: VoiceError): void {
    this.#chronicle.failed(utterance, code);
    this.#log.warn({ event: 'error', utterance, code, err: cause });
  }

  backpressure(change: 'on' | 'off', events: number): void {
    if (change === 'on') this.#metrics.backpressure.inc();
    this.#log.info({ event: 'backpressure', active: change === 'on', events });
  }
}
