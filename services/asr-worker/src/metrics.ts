import { LinkRefusal } from '@voice-fleet/protocol/link';
import { showBuild } from '@voice-fleet/telemetry/build-info';
import { LatencyHistogram } from '@voice-fleet/telemetry/latency-histogram';
import { collectNodeMetrics } from '@voice-fleet/telemetry/metrics-page';
import { SpanMetric } from '@voice-fleet/telemetry/tracing/span-metric';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { BatchMetrics } from './batch/batch-metrics.ts';
import { DEGRADE_LEVELS } from './capacity/degrade-ladder.ts';
import { HEALTH_STATUSES } from './capacity/health-status.ts';
import { FAULT_CAUSES } from './engines/engine.ts';
import type { VllmStats } from './engines/vllm/engine.ts';
import type { ModelStatus } from './http/worker-health.ts';
import type { CatchUpStats } from './transcription/catch-up.ts';
import { VADS, type VadStats } from './vad/vad-ladder.ts';

/** 0.8 and 1.5 are what is aimed at: see docs/operations/slo.md. */
export const LATENCY_BUCKETS_S = [0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1, 1.5, 2, 3, 5];

/** Close codes seen of vLLM. */
const CLOSE_CODES = ['1000', '1006', '1009', '1011', '1012'];

export interface WorkerMetricsOptions {
  readonly pool: string;
}

/** Every metric of the worker. Labels are bounded: never a session, key or address. */
export class WorkerMetrics {
  readonly registry = new Registry();
  readonly spans = new SpanMetric(this.registry);
  readonly pool: string;
  readonly #registers = [this.registry];

  readonly slots = new Gauge({
    name: 'voice_worker_slots',
    help: 'Sessions this worker serves at the most.',
    labelNames: ['pool'],
    registers: this.#registers,
  });
  readonly slotsUsed = new Gauge({
    name: 'voice_worker_slots_used',
    help: 'Sessions linked now.',
    labelNames: ['pool'],
    registers: this.#registers,
  });
  readonly ready = new Gauge({
    name: 'voice_worker_ready',
    help: '1 when the engine can take a session.',
    labelNames: ['pool'],
    registers: this.#registers,
  });
  readonly draining = new Gauge({
    name: 'voice_worker_draining',
    help: '1 once it was told to stop: it takes no session, and waits for those it has.',
    labelNames: ['pool'],
    registers: this.#registers,
  });
  readonly linksRefused = new Counter({
    name: 'voice_worker_links_refused_total',
    help: 'Links that were refused.',
    labelNames: ['reason'],
    registers: this.#registers,
  });
  readonly firstPartialSeconds = new LatencyHistogram({
    name: 'voice_worker_asr_first_partial_seconds',
    help: 'From the first audio of an utterance to its first text, guesses included.',
    labelNames: ['pool', 'model'],
    buckets: LATENCY_BUCKETS_S,
    registers: this.#registers,
  });
  readonly finalLatencySeconds = new LatencyHistogram({
    name: 'voice_worker_asr_final_latency_seconds',
    help: 'From the end of an utterance to its final.',
    labelNames: ['pool', 'model'],
    buckets: LATENCY_BUCKETS_S,
    registers: this.#registers,
  });
  readonly audioSeconds = new Counter({
    name: 'voice_worker_audio_seconds_total',
    help: 'Audio received from gateways.',
    labelNames: ['pool'],
    registers: this.#registers,
  });
  readonly droppedAudioSeconds = new Counter({
    name: 'voice_worker_dropped_audio_seconds_total',
    help: 'Audio dropped in front of the engine.',
    registers: this.#registers,
  });
  readonly segmentRolls = new Counter({
    name: 'voice_worker_segment_rolls_total',
    help: 'Segments of an utterance that were followed by another.',
    registers: this.#registers,
  });
  readonly utterances = new Counter({
    name: 'voice_worker_utterances_total',
    help: 'Utterances by how they ended.',
    labelNames: ['outcome'],
    registers: this.#registers,
  });
  readonly streamFaults = new Counter({
    name: 'voice_worker_stream_faults_total',
    help: 'Engine streams that failed amid an utterance, by cause.',
    labelNames: ['cause'],
    registers: this.#registers,
  });
  readonly recoveries = new Counter({
    name: 'voice_worker_recoveries_total',
    help: 'Failed streams whose audio a new one heard again, and utterances that were given up.',
    labelNames: ['outcome'],
    registers: this.#registers,
  });
  readonly recoverySeconds = new Histogram({
    name: 'voice_worker_recovery_seconds',
    help: 'From the fault of a stream until a new one had heard all its audio.',
    buckets: [0.1, 0.25, 0.5, 1, 2, 5, 10, 30],
    registers: this.#registers,
  });
  readonly resumedUtterances = new Counter({
    name: 'voice_worker_resumed_utterances_total',
    help: 'Utterances that another worker had begun, by how they ended here.',
    labelNames: ['outcome'],
    registers: this.#registers,
  });
  readonly catchUpActive = new Gauge({
    name: 'voice_worker_catch_up_active',
    help: 'Utterances that are behind and may catch up now.',
    registers: this.#registers,
  });
  readonly catchUpWaiting = new Gauge({
    name: 'voice_worker_catch_up_waiting',
    help: 'Utterances that are behind and wait for their turn.',
    registers: this.#registers,
  });
  readonly catchUpSeconds = new Histogram({
    name: 'voice_worker_catch_up_duration_seconds',
    help: 'From falling behind until caught up, the wait for a turn included.',
    buckets: [0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60],
    registers: this.#registers,
  });
  readonly upstreamSpares = new Gauge({
    name: 'voice_worker_upstream_spares',
    help: 'Validated connections to vLLM that wait for an utterance.',
    registers: this.#registers,
  });
  readonly upstreamTakes = new Counter({
    name: 'voice_worker_upstream_takes_total',
    help: 'Connections taken for an utterance: a spare one, or one that had to be dialed.',
    labelNames: ['from'],
    registers: this.#registers,
  });
  readonly upstreamDials = new Counter({
    name: 'voice_worker_upstream_dials_total',
    help: 'Connections to vLLM that were tried.',
    labelNames: ['outcome'],
    registers: this.#registers,
  });
  readonly upstreamCloses = new Counter({
    name: 'voice_worker_upstream_closes_total',
    help: 'Connections that vLLM or a fault ended, by close code; other than these: other.',
    labelNames: ['code'],
    registers: this.#registers,
  });
  readonly frameLatencySeconds = new Histogram({
    name: 'voice_worker_frame_latency_seconds',
    help: 'From sending the audio that a delta of vLLM needs to that delta. Above 0.16 it falls behind.',
    labelNames: ['pool'],
    buckets: [0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.16, 0.25, 0.5, 1, 2],
    registers: this.#registers,
  });
  readonly canaries = new Counter({
    name: 'voice_worker_canaries_total',
    help: 'Utterances of our own by how they ended; skipped: sessions showed that vLLM lives.',
    labelNames: ['outcome'],
    registers: this.#registers,
  });
  readonly decodeSeconds = new Counter({
    name: 'voice_worker_decode_seconds_total',
    help: 'Processing time of an engine of processes. Its rate by that of all audio, of jobs too, is the real-time factor.',
    labelNames: ['pool'],
    registers: this.#registers,
  });
  readonly realtimeFactor = new Gauge({
    name: 'voice_worker_realtime_factor',
    help: 'Processing time for each unit of audio, of the last tick: 1 is as much as the engine can do.',
    registers: this.#registers,
  });
  readonly chunks = new Gauge({
    name: 'voice_worker_chunks_processed',
    help: 'Pieces of audio that the engine has answered since it was started.',
    registers: this.#registers,
  });
  readonly avgInferSeconds = new Gauge({
    name: 'voice_worker_avg_infer_seconds',
    help: 'Mean processing time of these.',
    registers: this.#registers,
  });
  readonly degradeLevel = new Gauge({
    name: 'voice_worker_degrade_level',
    help: '0 normal, 1 warning (no growth), 2 degrade (no new sessions), 3 emergency (not ready), 4 failover (engine lost).',
    registers: this.#registers,
  });
  readonly engineStatus = new Gauge({
    name: 'voice_worker_engine_status',
    help: '1 for the present state of health, by load and errors; error also while the engine is lost.',
    labelNames: ['status'],
    registers: this.#registers,
  });
  readonly engineRestarts = new Counter({
    name: 'voice_worker_engine_restarts_total',
    help: 'Times the engine was restarted.',
    registers: this.#registers,
  });

  readonly vad = new Gauge({
    name: 'voice_worker_vad',
    help: '1 for the detector that tells voices from noise.',
    labelNames: ['name'],
    registers: this.#registers,
  });
  readonly vadFrames = new Counter({
    name: 'voice_worker_vad_frames_total',
    help: 'Frames of 32 ms that Silero was to judge, by what decided them: it; a gate, since nothing stirred; or energy, since it was late.',
    labelNames: ['decided_by'],
    registers: this.#registers,
  });
  readonly vadBatch = new Histogram({
    name: 'voice_worker_vad_batch_streams',
    help: 'Streams that Silero judged in one step.',
    buckets: [1, 2, 4, 8, 16, 32, 64],
    registers: this.#registers,
  });
  readonly vadStepSeconds = new Histogram({
    name: 'voice_worker_vad_step_seconds',
    help: 'What a step of Silero took, with the ways to its thread and back.',
    buckets: [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.1, 0.5],
    registers: this.#registers,
  });
  readonly vadRestarts = new Counter({
    name: 'voice_worker_vad_restarts_total',
    help: 'Times the thread of Silero was started anew.',
    registers: this.#registers,
  });
  readonly deletionCosts = new Counter({
    name: 'voice_worker_deletion_costs_total',
    help: 'Times Kubernetes was to be told what the loss of this pod would cost, by whether it was.',
    labelNames: ['outcome'],
    registers: this.#registers,
  });

  readonly batch: BatchMetrics;
  /** What was told of the engine's work at the last beat. */
  #decodedS = 0;

  constructor({ pool = 'default' }: Partial<WorkerMetricsOptions> = {}) {
    this.pool = pool;
    this.batch = new BatchMetrics(this.#registers, pool);
    collectNodeMetrics(this.registry);
    showBuild(this.registry, 'asr-worker', pool);
    for (const gauge of [this.slots, this.slotsUsed, this.ready, this.draining])
      gauge.labels(pool).set(0);
    this.audioSeconds.labels(pool).inc(0);
    this.decodeSeconds.labels(pool).inc(0);
    this.frameLatencySeconds.zero({ pool });
    for (const reason of LinkRefusal.options) this.linksRefused.labels(reason).inc(0);
    for (const by of ['model', 'gate', 'late']) this.vadFrames.labels(by).inc(0);
    for (const from of ['spare', 'dial']) this.upstreamTakes.labels(from).inc(0);
    for (const outcome of ['connected', 'failed']) this.upstreamDials.labels(outcome).inc(0);
    for (const code of [...CLOSE_CODES, 'other']) this.upstreamCloses.labels(code).inc(0);
    for (const outcome of ['passed', 'failed', 'skipped']) this.canaries.labels(outcome).inc(0);
    for (const cause of FAULT_CAUSES) this.streamFaults.labels(cause).inc(0);
    for (const outcome of ['told', 'failed']) this.deletionCosts.labels(outcome).inc(0);
    for (const outcome of ['recovered', 'gave_up']) this.recoveries.labels(outcome).inc(0);
    for (const outcome of ['final', 'failed', 'cancelled']) {
      this.utterances.labels(outcome).inc(0);
      this.resumedUtterances.labels(outcome).inc(0);
    }
  }

  /** Before its first utterance, so that there is a zero to grow from. */
  serves(model: string): void {
    this.firstPartialSeconds.zero({ pool: this.pool, model });
    this.finalLatencySeconds.zero({ pool: this.pool, model });
  }

  /** Called with every beat. */
  showHealth(model: ModelStatus): void {
    // The engine that stands in for another may tell none.
    const decodedS = model.inferMs === undefined ? this.#decodedS : model.inferMs / 1000;
    // An engine that was started anew counts from nothing.
    const more = decodedS < this.#decodedS ? decodedS : decodedS - this.#decodedS;
    this.decodeSeconds.labels(this.pool).inc(more);
    this.#decodedS = decodedS;
    this.realtimeFactor.set(model.realtimeFactor ?? 0);
    this.chunks.set(model.chunksProcessed ?? 0);
    this.avgInferSeconds.set((model.avgInferMs ?? 0) / 1000);
    this.degradeLevel.set(DEGRADE_LEVELS.indexOf(model.level));
    for (const status of HEALTH_STATUSES)
      this.engineStatus.labels(status).set(status === model.status ? 1 : 0);
  }

  readonly catchUp: CatchUpStats = {
    onChange: (active, waiting) => {
      this.catchUpActive.set(active);
      this.catchUpWaiting.set(waiting);
    },
    onCaughtUp: (durationMs) => this.catchUpSeconds.observe(durationMs / 1000),
  };

  /** What the detector counts: with each frame, so its counters are looked up once. */
  readonly vadStats = ((): VadStats => {
    const frames = {
      model: this.vadFrames.labels('model'),
      gate: this.vadFrames.labels('gate'),
      late: this.vadFrames.labels('late'),
    };
    return {
      onVad: (name) => {
        for (const each of VADS) this.vad.labels(each).set(each === name ? 1 : 0);
      },
      onDecided: (by) => frames[by].inc(),
      onStep: (streams, tookMs) => {
        this.vadBatch.observe(streams);
        this.vadStepSeconds.observe(tookMs / 1000);
      },
      onRestart: () => this.vadRestarts.inc(),
    };
  })();

  /** What the vLLM engine counts. */
  readonly vllm: VllmStats = {
    onSpares: (count) => this.upstreamSpares.set(count),
    onTake: (from) => this.upstreamTakes.labels(from).inc(),
    onDial: (outcome) => this.upstreamDials.labels(outcome).inc(),
    onClosed: (code) => {
      const known = CLOSE_CODES.includes(String(code));
      this.upstreamCloses.labels(known ? String(code) : 'other').inc();
    },
    onLatency: (latencyMs) =>
      this.frameLatencySeconds.observe({ pool: this.pool }, latencyMs / 1000),
    onCanary: (outcome) => this.canaries.labels(outcome).inc(),
  };
}
