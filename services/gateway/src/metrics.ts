import { LINE_PRIORITIES } from '@voice-fleet/fleet/lease';
import { ERRORS, type ErrorCode } from '@voice-fleet/protocol/errors';
import { LinkRefusal } from '@voice-fleet/protocol/link';
import type { FinalizeReason } from '@voice-fleet/protocol/session';
import { showBuild } from '@voice-fleet/telemetry/build-info';
import { LatencyHistogram } from '@voice-fleet/telemetry/latency-histogram';
import { collectNodeMetrics } from '@voice-fleet/telemetry/metrics-page';
import { SpanMetric } from '@voice-fleet/telemetry/tracing/span-metric';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { ADMISSION_OUTCOMES, type AdmissionOutcome } from './admission-outcome.ts';
import { DemandMetrics } from './demand/demand-metrics.ts';
import { JobMetrics } from './jobs/job-metrics.ts';
import { MOVE_CAUSES } from './session/link-holder.ts';
import { DELTAS } from './voice/latency.ts';
import { TURN_OUTCOMES } from './voice/turn.ts';
import { END_REASONS } from './ws/close-reason.ts';
import { UPGRADE_REFUSALS } from './ws/upgrade-gate-refusal.ts';

/** How a lease was asked for and what came of it: a grant, a refusal of `Placement`, or no answer; a lease that was held may be lost. */
const LEASE_OUTCOMES = {
  acquire: [
    'granted',
    'full',
    'limit',
    'no_workers',
    'line_full',
    'tenant_sessions',
    'tenant_rate',
    'redis_unavailable',
  ],
  renew: ['lost'],
} as const;

/** Close codes of RFC 6455 that are to be expected; codes of dialects are told as a hundred. */
const CLOSE_CODES = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013];

const FINALIZE_REASONS = [
  'explicit_stop',
  'vad_silence_timeout',
  'inactivity_timeout',
  'max_utterance_timeout',
] as const satisfies readonly FinalizeReason[];

/** Metrics of the voice pipeline. */
export class VoiceMetrics {
  readonly utterances: Counter<'reason'>;
  readonly turns: Counter<'outcome'>;
  readonly latencySeconds: LatencyHistogram<'delta'>;
  readonly bargeIns: Counter;
  readonly backpressure: Counter;
  readonly decodeRtf: Histogram;

  constructor(registers: Registry[]) {
    this.utterances = new Counter({
      name: 'voice_gateway_utterances_total',
      help: 'Utterances of the voice pipeline whose final was sent, by what ended them.',
      labelNames: ['reason'],
      registers,
    });
    this.turns = new Counter({
      name: 'voice_gateway_turns_total',
      help: 'Replies by how they ended.',
      labelNames: ['outcome'],
      registers,
    });
    this.latencySeconds = new LatencyHistogram({
      name: 'voice_gateway_voice_latency_seconds',
      help: 'From first audio to first partial and to the final, and from that to first token and first speech.',
      labelNames: ['delta'],
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 1.5, 2.5, 3, 5, 10, 30],
      registers,
    });
    this.bargeIns = new Counter({
      name: 'voice_gateway_barge_ins_total',
      help: 'Replies stopped because their client spoke.',
      registers,
    });
    this.backpressure = new Counter({
      name: 'voice_gateway_backpressure_total',
      help: 'Times a client of the voice pipeline read so slowly that partials became rare.',
      registers,
    });
    this.decodeRtf = new Histogram({
      name: 'voice_gateway_decode_rtf',
      help: 'Time an engine took for audio by the time of that audio, a partial interval at a time.',
      buckets: [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 4],
      registers,
    });
    for (const reason of FINALIZE_REASONS) this.utterances.labels(reason).inc(0);
    for (const outcome of TURN_OUTCOMES) this.turns.labels(outcome).inc(0);
    for (const delta of Object.keys(DELTAS)) this.latencySeconds.zero({ delta });
  }
}

/** Every metric of the gateway. Labels are bounded: never a session, key, tenant or address. */
export class GatewayMetrics {
  readonly registry = new Registry();
  readonly spans = new SpanMetric(this.registry);
  readonly #registers = [this.registry];

  readonly sessionsActive = new Gauge({
    name: 'voice_gateway_sessions_active',
    help: 'Admitted sessions that are not over.',
    labelNames: ['protocol'],
    registers: this.#registers,
  });
  /** Asked for when the page is. */
  connectionsNow: () => { held: number; pending: number; admitted: number } = () => ({
    held: 0,
    pending: 0,
    admitted: 0,
  });
  readonly connections: Gauge = new Gauge({
    name: 'voice_gateway_connections',
    help: 'Sockets of clients: held before their upgrade is answered, not admitted yet, admitted.',
    labelNames: ['state'],
    registers: this.#registers,
    collect: () => {
      for (const [state, count] of Object.entries(this.connectionsNow()))
        this.connections.labels(state).set(count);
    },
  });
  readonly upgradesRefused = new Counter({
    name: 'voice_gateway_upgrades_refused_total',
    help: 'WebSocket upgrades answered with an HTTP error, by reason.',
    labelNames: ['reason'],
    registers: this.#registers,
  });
  readonly relayed = new Counter({
    name: 'voice_gateway_relayed_total',
    help: 'Requests for speech and chat completions by how they ended. refused: the mistake of a client.',
    labelNames: ['route', 'outcome'],
    registers: this.#registers,
  });
  readonly admissions = new Counter({
    name: 'voice_gateway_admissions_total',
    help: 'Connections by how their admission ended.',
    labelNames: ['protocol', 'outcome'],
    registers: this.#registers,
  });
  readonly admissionSeconds = new LatencyHistogram({
    name: 'voice_gateway_admission_duration_seconds',
    help: 'From accepted socket to slot taken and worker ready.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: this.#registers,
  });
  readonly sessionSeconds = new Histogram({
    name: 'voice_gateway_session_duration_seconds',
    help: 'Length of admitted sessions by why they ended. error: a fault of the fleet; refused: the client may not go on.',
    labelNames: ['end_reason'],
    buckets: [1, 5, 15, 60, 300, 900, 3600, 14_400],
    registers: this.#registers,
  });
  readonly audioSeconds = new Counter({
    name: 'voice_gateway_audio_seconds_total',
    help: 'Audio accepted from clients.',
    labelNames: ['protocol'],
    registers: this.#registers,
  });
  readonly droppedAudioSeconds = new Counter({
    name: 'voice_gateway_dropped_audio_seconds_total',
    help: 'Audio dropped because an engine did not keep up; every drop was told to its client.',
    registers: this.#registers,
  });
  readonly errors = new Counter({
    name: 'voice_gateway_errors_total',
    help: 'Errors sent to clients, by code and what it means for them: see docs/errors.md.',
    labelNames: ['tier', 'code'],
    registers: this.#registers,
  });
  readonly wsCloses = new Counter({
    name: 'voice_gateway_ws_closes_total',
    help: 'Sockets of clients that were closed, by code and by who began it. Codes above 2999 are told by their hundred.',
    labelNames: ['code', 'initiator'],
    registers: this.#registers,
  });
  /** Asked for when the page is. */
  bufferedBytesNow: () => number = () => 0;
  readonly wsBuffered: Gauge = new Gauge({
    name: 'voice_gateway_ws_buffered_bytes',
    help: 'Bytes sent to clients that the system has not taken yet.',
    registers: this.#registers,
    collect: () => this.wsBuffered.set(this.bufferedBytesNow()),
  });
  readonly tierSessionsActive = new Gauge({
    name: 'voice_gateway_tier_sessions_active',
    help: 'Admitted sessions that are not over, by the priority of their tenants.',
    labelNames: ['tenant_tier'],
    registers: this.#registers,
  });
  readonly tierAdmissions = new Counter({
    name: 'voice_gateway_tier_admissions_total',
    help: 'Connections of known tenants by how their admission ended, by the priority of their tenants.',
    labelNames: ['tenant_tier', 'outcome'],
    registers: this.#registers,
  });
  readonly tierAudioSeconds = new Counter({
    name: 'voice_gateway_tier_audio_seconds_total',
    help: 'Audio accepted from clients, by the priority of their tenants.',
    labelNames: ['tenant_tier'],
    registers: this.#registers,
  });
  readonly certificateExpiry = new Gauge({
    name: 'voice_gateway_tls_certificate_expiry_timestamp_seconds',
    help: 'When the certificate ends that is served, in Unix time; 0 without TLS.',
    registers: this.#registers,
  });
  readonly workersLost = new Counter({
    name: 'voice_gateway_workers_lost_total',
    help: 'Links to workers that ended under a live session.',
    registers: this.#registers,
  });
  /** Asked for when the page is. */
  waitingNow: () => number = () => 0;
  readonly sessionsWaiting: Gauge = new Gauge({
    name: 'voice_gateway_sessions_waiting',
    help: 'Clients of this gateway that wait in line for a slot.',
    registers: this.#registers,
    collect: () => this.sessionsWaiting.set(this.waitingNow()),
  });
  readonly moves = new Counter({
    name: 'voice_gateway_session_moves_total',
    help: 'Sessions that went on with another worker, by why they left the last one.',
    labelNames: ['cause'],
    registers: this.#registers,
  });
  readonly moveSeconds = new Histogram({
    name: 'voice_gateway_session_move_duration_seconds',
    help: 'From the loss of a worker until the next one has all audio that it must hear again.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers: this.#registers,
  });
  readonly linkRefusals = new Counter({
    name: 'voice_gateway_link_refusals_total',
    help: 'Workers passed over because they did not take a link, by reason.',
    labelNames: ['reason'],
    registers: this.#registers,
  });
  readonly inputHolds = new Counter({
    name: 'voice_gateway_input_holds_total',
    help: 'Times a client was not read because its worker was behind.',
    registers: this.#registers,
  });
  readonly sendRateHolds = new Counter({
    name: 'voice_gateway_send_rate_holds_total',
    help: 'Times a client was not read because it had sent faster than it may.',
    registers: this.#registers,
  });
  readonly outboxWaiting = new Gauge({
    name: 'voice_gateway_outbox_waiting_events',
    help: 'Events that wait because their clients read too slowly.',
    registers: this.#registers,
  });
  readonly journalSaveSeconds = new Histogram({
    name: 'voice_gateway_journal_save_duration_seconds',
    help: 'From a frame for a client that may resume until it is written down and sent.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
    registers: this.#registers,
  });
  readonly leaseOperations = new Counter({
    name: 'voice_lease_operations_total',
    help: 'Lease operations by outcome. renew: a lease that was held was lost.',
    labelNames: ['op', 'outcome'],
    registers: this.#registers,
  });
  readonly leaseSeconds = new Histogram({
    name: 'voice_lease_operation_duration_seconds',
    help: 'From asking for a lease to the answer, the wait in line included.',
    labelNames: ['op'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 10, 30],
    registers: this.#registers,
  });
  readonly voice = new VoiceMetrics(this.#registers);
  readonly jobs = new JobMetrics(this.#registers);
  readonly demand = new DemandMetrics(this.#registers);

  constructor(protocols: readonly string[]) {
    collectNodeMetrics(this.registry);
    showBuild(this.registry, 'gateway', '');
    for (const protocol of protocols) {
      this.sessionsActive.labels(protocol).set(0);
      this.audioSeconds.labels(protocol).inc(0);
      for (const outcome of ADMISSION_OUTCOMES) this.countAdmission(protocol, outcome, 0);
    }
    for (const tier of LINE_PRIORITIES) {
      this.tierSessionsActive.labels(tier).set(0);
      this.tierAudioSeconds.labels(tier).inc(0);
      for (const outcome of ADMISSION_OUTCOMES) this.tierAdmissions.labels(tier, outcome).inc(0);
    }
    for (const [op, outcomes] of Object.entries(LEASE_OUTCOMES))
      for (const outcome of outcomes) this.leaseOperations.labels(op, outcome).inc(0);
    for (const reason of END_REASONS) this.sessionSeconds.zero({ end_reason: reason });
    for (const reason of [...LinkRefusal.options, 'unreachable'])
      this.linkRefusals.labels(reason).inc(0);
    this.admissionSeconds.zero({});
    this.leaseSeconds.zero({ op: 'acquire' });
    this.certificateExpiry.set(0);
    for (const reason of UPGRADE_REFUSALS) this.upgradesRefused.labels(reason).inc(0);
    for (const cause of MOVE_CAUSES) this.moves.labels(cause).inc(0);
    for (const code of Object.keys(ERRORS)) this.countError(code as ErrorCode, 0);
    for (const route of ['speech', 'chat'])
      for (const outcome of ['served', 'refused', 'failed'])
        this.relayed.labels(route, outcome).inc(0);
  }

  countAdmission(protocol: string, outcome: AdmissionOutcome, times = 1): void {
    this.admissions.labels(protocol, outcome).inc(times);
  }

  countError(code: ErrorCode, times = 1): void {
    this.errors.labels(ERRORS[code].tier, code).inc(times);
  }

  countClose(code: number, initiator: 'server' | 'client'): void {
    const hundred = code >= 3000 && code < 5000 ? `${Math.floor(code / 100)}xx` : 'other';
    this.wsCloses.labels(CLOSE_CODES.includes(code) ? String(code) : hundred, initiator).inc();
  }

  /** Admitted sessions of this process that are not over, over all protocols. */
  async openSessions(): Promise<number> {
    const { values } = await this.sessionsActive.get();
    return values.reduce((sum, { value }) => sum + value, 0);
  }
}
