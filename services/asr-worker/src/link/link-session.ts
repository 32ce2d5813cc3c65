import {
  LINK_ACK_INTERVAL_MS,
  LinkCommand,
  type LinkEvent,
  type LinkWord,
} from '@voice-fleet/protocol/link';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { Word } from '@voice-fleet/speech/words';
import type { Logger } from '@voice-fleet/telemetry/logger';
import type { Span, Tracer } from '@voice-fleet/telemetry/tracing/tracer';
import type { WebSocket } from 'ws';
import type { AsrEngine, VoiceState } from '../engines/engine.ts';
import { tracedEngine } from '../engines/traced-engine.ts';
import type { WorkerMetrics } from '../metrics.ts';
import type { CatchUp } from '../transcription/catch-up.ts';
import type { RunnerFault, RunnerListener, RunnerUsage } from '../transcription/runner-listener.ts';
import { type RunnerSettings, UtteranceRunner } from '../transcription/utterance-runner.ts';
import { SpeechWatch } from '../vad/speech-watch.ts';
import type { Vad } from '../vad/vad.ts';

export interface LinkSessionDeps {
  readonly engine: AsrEngine;
  readonly vad: Vad;
  readonly clock: Clock;
  readonly settings: RunnerSettings;
  readonly metrics: WorkerMetrics;
  /** Of the whole worker. */
  readonly catchUp: CatchUp;
  readonly tracer: Tracer;
  readonly sessionId: string;
  /** Names the session in each line. */
  readonly log: Logger;
  /** Called when an utterance has ended, unless by `close`. */
  readonly onIdle: () => void;
}

interface Current {
  readonly utterance: number;
  readonly runner: UtteranceRunner;
  /** Only where it was asked for. */
  readonly watch: SpeechWatch | undefined;
  readonly fromSample: number;
  /** Time the engine took for audio. */
  workMs: number;
  firstAudioMs: number | undefined;
  finishedMs: number | undefined;
  heardText: boolean;
  /** Another worker has begun it. */
  readonly resumed: boolean;
  readonly span: Span;
}

/** A verified link: turns its frames into calls of one runner at a time, and the runner's words into events. */
export class LinkSession {
  readonly #socket: WebSocket;
  readonly #deps: LinkSessionDeps;
  readonly #voice: VoiceState = {};
  /** Looked up once: it is counted with each frame. */
  readonly #audioSeconds: { inc(seconds: number): void };
  /** Where the audio of frames that no engine has taken yet ends; used only when nothing may be dropped. */
  readonly #untaken: number[] = [];
  #current: Current | undefined;
  #receivedSample = 0;
  /** Audio up to here was sent to another worker before. */
  #liveSample = 0;
  #settledSample = 0;
  #takenSample = 0;
  #frames = 0;
  #ackTimer: Timer | undefined;
  #closed = false;

  constructor(socket: WebSocket, deps: LinkSessionDeps) {
    this.#socket = socket;
    this.#deps = deps;
    this.#audioSeconds = deps.metrics.audioSeconds.labels(deps.metrics.pool);
  }

  get busy(): boolean {
    return this.#current !== undefined;
  }

  /** Throws when the frame is not one of the link's. */
  onFrame(data: Buffer, isBinary: boolean): void {
    if (isBinary) this.#audio(data);
    else this.#command(LinkCommand.parse(JSON.parse(data.toString())));
    // A command that ends an utterance may have closed the session.
    if (!this.#closed) this.#ackSoon();
  }

  /** Ends the utterance under way without a word. */
  close(): void {
    this.#closed = true;
    this.#cancel();
    this.#ackTimer?.cancel();
  }

  #audio(pcm: Buffer): void {
    const current = this.#current;
    this.#receivedSample += pcm.length >> 1;
    this.#frames += 1;
    if (current === undefined) return;
    current.firstAudioMs ??= this.#deps.clock.now();
    this.#audioSeconds.inc((pcm.length >> 1) / SAMPLE_RATE);
    // Audio to be heard again waits for its turn: that is no sign of an engine that takes nothing.
    if (this.#deps.settings.maxBacklogSamples === 0 && this.#receivedSample > this.#liveSample)
      this.#untaken.push(this.#receivedSample);
    current.runner.push(pcm);
    current.watch?.push(pcm);
  }

  #command(command: LinkCommand): void {
    this.#frames += 1;
    switch (command.type) {
      case 'start':
        this.#cancel();
        if (this.#closed) return;
        return this.#start(command);
      case 'finish':
        if (this.#current?.utterance !== command.utterance) return;
        this.#current.finishedMs = this.#deps.clock.now();
        this.#current.watch?.close();
        return this.#current.runner.finish();
      case 'cancel':
        if (this.#current?.utterance === command.utterance) this.#cancel();
        return;
      case 'hello':
        throw new Error('a second hello');
    }
  }

  #start(command: Extract<LinkCommand, { type: 'start' }>): void {
    const { utterance, fromSample, resume } = command;
    const { engine, sessionId, clock, settings, metrics, catchUp, log, tracer } = this.#deps;
    const span = tracer.start('speech_to_text', {
      kind: 'server',
      parent: command.traceparent,
      attributes: { session: sessionId, utterance, model: engine.model, engine: engine.name },
    });
    this.#receivedSample = fromSample;
    this.#liveSample = resume?.liveSample ?? fromSample;
    this.#settledSample = resume?.heardSample ?? fromSample;
    if (resume) {
      const replayMs = Math.round(((resume.liveSample - fromSample) / SAMPLE_RATE) * 1000);
      log.info({ event: 'utterance_resumed', utterance, replayMs });
      span.event('resume', { tookMs: replayMs });
    }
    const is = (): Current | undefined =>
      this.#current?.utterance === utterance ? this.#current : undefined;
    const listener: RunnerListener = {
      onWords: (words, tail) => this.#onWords(is(), words, tail),
      onFinal: (words, usage) => this.#onFinal(is(), words, usage),
      onFailed: (cause) => this.#onFailed(is(), cause),
      onDropped: (samples) => {
        metrics.droppedAudioSeconds.inc(samples / SAMPLE_RATE);
        const { maxBacklogSamples } = settings;
        if (is()) this.#send({ type: 'dropped', utterance, samples, maxBacklogSamples });
      },
      onTaken: (untilSample, tookMs) => {
        this.#takenSample = untilSample;
        const current = is();
        if (current) current.workMs += tookMs;
        while ((this.#untaken[0] ?? Number.POSITIVE_INFINITY) <= untilSample) this.#untaken.shift();
        // Whoever sends no faster than the engine takes waits for this.
        if (is()) this.#ackSoon();
      },
      onSettled: (untilSample) => {
        if (is()) this.#onSettled(untilSample);
      },
      onSegmentRolled: () => {
        metrics.segmentRolls.inc();
        span.event('roll');
      },
      onFault: (fault) => {
        span.event('failover', { cause: fault.cause, attempt: fault.attempt });
        this.#onFault(utterance, fault);
      },
      onRecovered: (latencyMs) => {
        metrics.recoverySeconds.observe(latencyMs / 1000);
        metrics.recoveries.labels('recovered').inc();
        log.info({ event: 'stream_recovered', utterance, latencyMs });
      },
    };
    const runner = new UtteranceRunner(
      fromSample,
      {
        engine: tracedEngine(engine, span.traceparent ?? command.traceparent),
        voice: this.#voice,
        sessionId,
        utterance,
        clock,
        settings,
        listener,
        catchUp,
      },
      resume && { ...resume, words: resume.words.map(runnerWord) },
    );
    this.#current = {
      utterance,
      runner,
      watch: this.#watch(command),
      fromSample,
      workMs: 0,
      firstAudioMs: undefined,
      finishedMs: undefined,
      // Its first text was another worker's.
      heardText: resume !== undefined,
      resumed: resume !== undefined,
      span,
    };
  }

  #watch(command: Extract<LinkCommand, { type: 'start' }>): SpeechWatch | undefined {
    const { utterance, fromSample, resume, endpoint } = command;
    if (endpoint === undefined) return undefined;
    const { vad, clock } = this.#deps;
    return new SpeechWatch({
      vad,
      clock,
      endpoint,
      fromSample,
      resume,
      onStarted: (sample) => this.#send({ type: 'speech_started', utterance, sample }),
      onEnded: (sample) => this.#send({ type: 'speech_ended', utterance, sample }),
    });
  }

  #onWords(current: Current | undefined, words: readonly Word[], tail: string): void {
    if (current === undefined) return;
    if (!current.heardText) {
      current.heardText = true;
      current.span.event('first_partial');
      this.#record('firstPartialSeconds', current, current.firstAudioMs);
    }
    this.#send({ type: 'partial', utterance: current.utterance, words: words.map(linkWord), tail });
  }

  #onFinal(current: Current | undefined, words: readonly Word[], usage: RunnerUsage): void {
    if (current === undefined) return;
    this.#forget(current, 'final');
    this.#record('finalLatencySeconds', current, current.finishedMs);
    this.#send({
      type: 'final',
      utterance: current.utterance,
      words: words.map(linkWord),
      ...usage,
    });
    this.#onSettled(this.#receivedSample);
    this.#deps.onIdle();
  }

  #record(
    latency: 'firstPartialSeconds' | 'finalLatencySeconds',
    { span }: Current,
    sinceMs: number | undefined,
  ): void {
    const { clock, metrics, engine } = this.#deps;
    const nowMs = clock.now();
    const labels = { pool: metrics.pool, model: engine.model };
    metrics[latency].record((nowMs - (sinceMs ?? nowMs)) / 1000, labels, span.traceId);
  }

  #onFault(utterance: number, fault: RunnerFault): void {
    const { metrics, log } = this.#deps;
    metrics.streamFaults.labels(fault.cause).inc();
    if (!fault.recovering) metrics.recoveries.labels('gave_up').inc();
    log.warn({ event: 'stream_fault', utterance, ...fault });
    // One fault is mostly one connection's. After two the session had better have another engine, if there is one.
    if (fault.attempt === 2 && fault.recovering) this.#send({ type: 'draining', cause: 'engine' });
  }

  #onFailed(current: Current | undefined, cause: unknown): void {
    if (current === undefined) return;
    const message = cause instanceof Error ? cause.message : String(cause);
    this.#deps.log.warn({ event: 'engine_failed', utterance: current.utterance, message });
    this.#forget(current, 'failed');
    this.#send({ type: 'failed', utterance: current.utterance, reason: 'engine_failed' });
    this.#deps.onIdle();
  }

  #cancel(): void {
    const current = this.#current;
    if (current === undefined) return;
    current.runner.cancel();
    this.#forget(current, 'cancelled');
    if (!this.#closed) this.#deps.onIdle();
  }

  #forget(current: Current, outcome: 'final' | 'failed' | 'cancelled'): void {
    const { metrics } = this.#deps;
    const { resumed, watch, span, fromSample, workMs } = current;
    watch?.close();
    const audioMs = Math.round(((this.#receivedSample - fromSample) / SAMPLE_RATE) * 1000);
    span.set({ outcome, audioMs, tookMs: Math.round(workMs) });
    span.end(outcome === 'failed' ? 'engine_failed' : undefined);
    this.#current = undefined;
    this.#untaken.length = 0;
    metrics.utterances.labels(outcome).inc();
    if (resumed) metrics.resumedUtterances.labels(outcome).inc();
  }

  #onSettled(untilSample: number): void {
    if (untilSample <= this.#settledSample) return;
    this.#settledSample = untilSample;
    this.#ackSoon();
  }

  #ackSoon(): void {
    this.#ackTimer ??= this.#deps.clock.after(LINK_ACK_INTERVAL_MS, () => this.#ack());
  }

  #ack(): void {
    this.#ackTimer = undefined;
    const current = this.#current;
    // Before that `takenSample` speaks of another utterance.
    const tells = current !== undefined && this.#takenSample > current.fromSample;
    this.#send({
      type: 'ack',
      takenSample: this.#takenSample,
      frames: this.#frames - this.#untaken.length,
      sample: this.#settledSample,
      ...(tells && { workMs: Math.round(current.workMs) }),
    });
    // What was not taken yet is told when it is.
    if (this.#untaken.length > 0) this.#ackSoon();
  }

  #send(event: LinkEvent): void {
    this.#socket.send(JSON.stringify(event));
  }
}

function runnerWord(word: LinkWord): Word {
  const { confidence, ...facts } = word;
  return confidence === undefined ? facts : { ...facts, confidence };
}

function linkWord(word: Word): LinkWord {
  const { text, startSample, endSample, confidence } = word;
  return confidence === undefined
    ? { text, startSample, endSample }
    : { text, startSample, endSample, confidence };
}
