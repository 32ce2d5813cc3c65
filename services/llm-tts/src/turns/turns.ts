import { VoiceError } from '@voice-fleet/protocol/errors';
import type { TurnEvent, TurnRequest } from '@voice-fleet/protocol/turn';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { Logger } from '@voice-fleet/telemetry/logger';
import type { Tracer } from '@voice-fleet/telemetry/tracing/tracer';
import type { LlmModel } from '../llm/engine.ts';
import type { LlmTtsMetrics, TurnOutcome } from '../metrics.ts';
import { runTurn, type TurnEngines, type TurnWatch } from './run-turn.ts';
import { TurnTrace } from './turn-trace.ts';

export interface TurnsDeps {
  readonly engines: TurnEngines;
  readonly clock: Clock;
  readonly metrics: LlmTtsMetrics;
  readonly log: Logger;
  readonly tracer: Tracer;
  /** Turns at once; more are refused. */
  readonly maxActive: number;
}

const RETRY_AFTER_S = 1;
/** So long those that were cut off have to end; a reader that takes nothing keeps his open. */
const CUT_OFF_MS = 500;

/** The turns under way: how many there may be, and what became of each. */
export class Turns {
  readonly #deps: TurnsDeps;
  readonly #active = new Set<AbortController>();
  #onEmpty: (() => void) | undefined;
  #isDraining = false;

  constructor(deps: TurnsDeps) {
    this.#deps = deps;
  }

  get active(): number {
    return this.#active.size;
  }

  /** The events of a new turn, which counts while they are read; `traceparent`: of what it is for. Throws `at_capacity`. */
  open(
    request: TurnRequest,
    signal: AbortSignal,
    traceparent?: string,
  ): AsyncGenerator<TurnEvent, void> {
    const { metrics, maxActive } = this.#deps;
    if (this.#isDraining || this.#active.size >= maxActive) {
      metrics.turnsRefused.inc();
      throw new VoiceError('at_capacity', {
        message: 'As many turns are under way as may be. Try again shortly.',
        details: { retry_after_s: RETRY_AFTER_S },
      });
    }
    return this.#run(request, signal, traceparent);
  }

  /**
   * Takes no more turns. Settles when the last has ended; those that have not by then are cut off after `timeoutMs`, and waited
   * for a moment longer: one whose reader takes nothing ends with its connection.
   */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true;
    if (this.#active.size === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    const { clock } = this.#deps;
    let timer = clock.after(timeoutMs, () => {
      timer = clock.after(CUT_OFF_MS, () => this.#onEmpty?.());
      for (const controller of this.#active) controller.abort(new Error('this service stops'));
    });
    await empty;
    timer.cancel();
  }

  async *#run(
    request: TurnRequest,
    signal: AbortSignal,
    traceparent: string | undefined,
  ): AsyncGenerator<TurnEvent, void> {
    const { engines, metrics } = this.#deps;
    const controller = new AbortController();
    this.#active.add(controller);
    metrics.turnsActive.set(this.#active.size);
    const record = new TurnRecord(request, this.#deps, traceparent);
    const either = AbortSignal.any([signal, controller.signal]);
    try {
      for await (const event of runTurn(request, engines, record, either)) {
        record.onEvent(event);
        yield event;
      }
    } catch (error) {
      record.onCrash(error);
      throw error;
    } finally {
      record.close();
      this.#active.delete(controller);
      metrics.turnsActive.set(this.#active.size);
      if (this.#active.size === 0) this.#onEmpty?.();
    }
  }
}

/** What is told of one turn when it is over. */
class TurnRecord implements TurnWatch {
  readonly #request: TurnRequest;
  readonly #deps: TurnsDeps;
  readonly #beganMs: number;
  readonly #trace: TurnTrace;
  #model: LlmModel;
  #outcome: TurnOutcome = 'cancelled';
  #error: string | undefined;
  #cause: Readonly<Record<string, string | number>> | undefined;
  #firstTokenMs: number | undefined;
  #lastTokenMs: number | undefined;
  #firstSpeechMs: number | undefined;
  #tokens = 0;
  #chars = 0;
  #phrases = 0;
  #phrasesLost = 0;

  constructor(request: TurnRequest, deps: TurnsDeps, traceparent: string | undefined) {
    this.#trace = new TurnTrace(deps.tracer, request, traceparent);
    this.#request = request;
    this.#deps = deps;
    this.#beganMs = deps.clock.now();
    this.#model = deps.engines.llm;
  }

  onModel(model: LlmModel): void {
    this.#model = model;
  }

  onFault(error: unknown): void {
    if (error instanceof VoiceError) this.#cause = error.details;
    else this.#deps.log.error({ event: 'llm_fault', sid: this.#request.conversation, err: error });
  }

  onCrash(error: unknown): void {
    this.#outcome = 'failed';
    this.#error = 'internal';
    this.#deps.log.error({ event: 'turn_fault', sid: this.#request.conversation, err: error });
  }

  onEvent(event: TurnEvent): void {
    this.#trace.onEvent(event);
    switch (event.type) {
      case 'started':
        break;
      case 'token':
        if (event.done) break;
        this.#onToken(this.#elapsedMs());
        this.#tokens += 1;
        this.#chars += event.text.length;
        break;
      case 'speech':
        this.#firstSpeechMs ??= this.#elapsedMs();
        this.#phrases += 1;
        break;
      case 'phrase_done':
        break;
      case 'phrase_dropped':
        this.#phrasesLost += 1;
        break;
      case 'error':
        if (event.code === 'tts_failed' || event.code === 'tts_timeout') this.#phrasesLost += 1;
        else this.#error = this.#fault(event.code);
        break;
      case 'complete':
        this.#outcome = event.outcome;
        break;
    }
  }

  #onToken(nowMs: number): void {
    this.#firstTokenMs ??= nowMs;
    if (this.#lastTokenMs !== undefined) {
      const gapS = (nowMs - this.#lastTokenMs) / 1000;
      this.#deps.metrics.interTokenSeconds.observe({ model: this.#model.label }, gapS);
    }
    this.#lastTokenMs = nowMs;
  }

  close(): void {
    const { metrics, log } = this.#deps;
    const { label, model } = this.#model;
    const durationMs = this.#elapsedMs();
    metrics.turns.labels(this.#outcome, label).inc();
    metrics.turnSeconds.labels(this.#outcome).observe(durationMs / 1000);
    metrics.tokens.labels(label).inc(this.#tokens);
    const { traceId: trace_id } = this.#trace;
    const labels = { model: label };
    if (this.#firstTokenMs !== undefined)
      metrics.firstTokenSeconds.record(this.#firstTokenMs / 1000, labels, trace_id);
    if (this.#firstSpeechMs !== undefined)
      metrics.firstSpeechSeconds.record(this.#firstSpeechMs / 1000, labels, trace_id);
    this.#trace.close(this.#outcome, this.#error);
    log.info({
      event: 'turn_ended',
      trace_id,
      sid: this.#request.conversation,
      tenant: this.#request.tenant,
      outcome: this.#outcome,
      error: this.#error,
      ...(this.#cause && { cause: this.#cause }),
      model,
      speak: this.#request.speak,
      unit: this.#request.unit,
      textChars: this.#request.text.length,
      tokens: this.#tokens,
      replyChars: this.#chars,
      phrases: this.#phrases,
      phrasesLost: this.#phrasesLost,
      firstTokenMs: rounded(this.#firstTokenMs),
      firstSpeechMs: rounded(this.#firstSpeechMs),
      durationMs: rounded(durationMs),
    });
  }

  #fault(code: string): string {
    this.#deps.metrics.llmFaults.labels(code).inc();
    return code;
  }

  #elapsedMs(): number {
    return this.#deps.clock.now() - this.#beganMs;
  }
}

function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms);
}
