import { fleetEnv } from '@voice-fleet/fleet/env';
import {
  booleanVar,
  enumListVar,
  enumVar,
  integerVar,
  numberVar,
  textVar,
} from '@voice-fleet/runtime/env';
import { operatorEnv } from '@voice-fleet/runtime/operator-env';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { z } from 'zod';
import { batchEnv, batchSettings } from './batch/batch-env.ts';
import { ENGINES } from './engines/engines.ts';
import { processEnv, processSettings } from './engines/process/process-env.ts';
import { identityEnv, identitySettings } from './identity-env.ts';
import { deletionCostSettings, kubernetesEnv } from './kubernetes/kubernetes-env.ts';
import { segmentPlan } from './transcription/segment-plan.ts';
import { VAD_CHOICES } from './vad/vad-ladder.ts';

const SECONDS = 1000;

/** Of vLLM: a host with a port or without one, and no user, who would stand in each message about it. */
const VLLM_URL =
  /^https?:\/\/(?:[\w.-]+|\[[\da-f:.]+\])(?::(?:\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5]))?$/i;

const BEARER = /^[\x21-\x7e]+$/;
/** Every variable the asr-worker reads. `docs/configuration.md` is generated from it. */
export const WorkerEnv = z
  .object({
    ...operatorEnv(9200),
    ...fleetEnv,
    ...identityEnv,
    ...batchEnv,
    ...kubernetesEnv,
    WORKER_BIND_HOST: textVar({ default: '0.0.0.0', doc: 'Address the link port listens on.' }),
    WORKER_PORT: integerVar({
      default: 8200,
      min: 0,
      max: 65_535,
      doc: 'Port that gateways link to; 0 takes a free one.',
    }),
    WORKER_SLOTS: integerVar({
      default: 0,
      min: 0,
      max: 4096,
      doc: 'Sessions served at once; 0: what the engine declares.',
    }),
    WORKER_SLOTS_START: integerVar({
      default: 0,
      min: 0,
      max: 4096,
      doc: 'Sessions vLLM is offered for at first; 0: what the card is planned with. What is measured corrects it.',
    }),
    WORKER_SLOTS_MIN: integerVar({
      default: 1,
      min: 1,
      max: 4096,
      doc: 'The fewest, whatever is measured.',
    }),
    WORKER_SLOTS_MAX: integerVar({
      default: 0,
      min: 0,
      max: 4096,
      doc: 'The most, unless WORKER_SLOTS_MIN is more; 0: what the cache of the card holds.',
    }),
    WORKER_TARGET_FRAME_LATENCY_MS: integerVar({
      default: 165,
      min: 20,
      max: 1000,
      doc: 'P95 of what vLLM takes for 80 ms of audio, at which it counts as full.',
    }),
    WORKER_TICK_S: numberVar({
      default: 5,
      min: 0.05,
      max: 60,
      doc: 'How often load is measured and slots are corrected.',
    }),
    ASR_ENGINE: enumListVar(ENGINES, {
      default: ['pocketsphinx'],
      doc: 'Engine that turns audio into words; of several, the first that works.',
    }),
    ASR_VAD: enumVar(VAD_CHOICES, {
      default: 'auto',
      doc: 'What tells voices from noise, for sessions that ask where speech ends; `auto`: the best that can be loaded.',
    }),
    ...processEnv,
    POCKETSPHINX_ROOT: textVar({
      default: '',
      doc: 'Folder with the unpacked Debian packages; empty: the system, then the project cache.',
    }),
    VLLM_BASE_URL: textVar({
      default: 'http://127.0.0.1:8300',
      pattern: VLLM_URL,
      doc: 'Where vLLM listens, without a path.',
    }),
    VLLM_API_KEY: textVar({
      default: '',
      secret: true,
      pattern: BEARER,
      doc: 'Key that vLLM was started with.',
    }),
    VOXTRAL_SERVED_MODEL_NAME: textVar({
      default: 'mistralai/Voxtral-Mini-4B-Realtime-2602',
      doc: 'Name under which vLLM serves the model, and clients ask for it.',
    }),
    VOXTRAL_TRANSCRIPTION_DELAY_MS: integerVar({
      default: 400,
      min: 80,
      max: 2400,
      valid: (value) => value % 80 === 0,
      rule: 'a multiple of 80 from 80 to 2400',
      doc: 'Delay that the model was started with; the first utterance tells the real one.',
    }),
    VLLM_GPU_MEMORY_UTILIZATION: numberVar({
      default: 0.92,
      min: 0.1,
      max: 1,
      doc: 'Part of the card that vLLM takes; from it and the card the slots to start with are reckoned.',
    }),
    VLLM_MAX_NUM_SEQS: integerVar({
      default: 0,
      min: 0,
      max: 65_536,
      doc: 'What vLLM was started with, where that was set: never more sessions than it steps at once. 0: not known.',
    }),
    VLLM_SPARE_SOCKETS: integerVar({
      default: 4,
      min: 0,
      max: 64,
      doc: 'Validated connections kept ready, for new utterances and after a cancel.',
    }),
    VLLM_DIAL_TIMEOUT_S: numberVar({
      default: 5,
      min: 0.1,
      max: 60,
      doc: 'A connection that is not validated within this time has failed.',
    }),
    VLLM_STALL_S: numberVar({
      default: 2,
      min: 0.1,
      max: 60,
      doc: 'vLLM answers each 80 ms of audio; without an answer for so long a stream is given up.',
    }),
    VLLM_DONE_S: numberVar({
      default: 5,
      min: 0.1,
      max: 120,
      doc: 'The same after the end of an utterance, until its last word.',
    }),
    VLLM_CANARY_S: numberVar({
      default: 30,
      min: 0.1,
      max: 3600,
      doc: 'While nobody speaks, vLLM is tried with one second of silence so often.',
    }),
    STT_INTERNAL_ROLL: booleanVar({ default: true, doc: 'Cut endless utterances into segments.' }),
    STT_SEGMENT_SECONDS: numberVar({
      default: 30,
      min: 1,
      max: 3600,
      doc: 'Audio in a segment at the most.',
    }),
    STT_SEGMENT_PAUSE_SECONDS: numberVar({
      default: 15,
      min: 1,
      max: 3600,
      doc: 'A segment that holds this much is cut at the first pause of the speaker.',
    }),
    STT_SEGMENT_OVERLAP_SECONDS: numberVar({
      default: 0.8,
      min: 0,
      max: 10,
      doc: 'Audio heard by two neighbouring segments; at most half a segment.',
    }),
    STT_MAX_BACKLOG_SECONDS: numberVar({
      default: 5,
      min: 0,
      max: 600,
      doc: 'Audio that may wait for the engine; older audio is dropped and told. 0 drops nothing.',
    }),
    STT_FINISH_TIMEOUT_S: numberVar({
      default: 30,
      min: 0.1,
      max: 600,
      doc: 'An engine that takes no audio or does not settle a segment within this time has failed.',
    }),
    STT_QUIET_SECONDS: numberVar({
      default: 10,
      min: 0.1,
      max: 3600,
      doc: 'An open utterance that gets no audio for so long has its words settled; the next audio goes on.',
    }),
    STT_MAX_RECOVERIES: integerVar({
      default: 5,
      min: 0,
      max: 100,
      doc: 'Faults of the engine in a row that an utterance survives.',
    }),
    STT_RECOVERY_OVERLAP_SECONDS: numberVar({
      default: 2,
      min: 0,
      max: 10,
      doc: 'After a fault, audio before the last trusted word that is heard again.',
    }),
    STT_REPLAY_SECONDS: numberVar({
      default: 30,
      min: 1,
      max: 120,
      doc: 'Audio kept for hearing it again, and that may wait while that goes on.',
    }),
    VLLM_MAX_MODEL_LEN: integerVar({
      default: 1024,
      min: 256,
      max: 131_072,
      doc: 'What vLLM was started with. A segment takes no more than half of it, less 104 positions for what is not audio.',
    }),
    WORKER_HEARTBEAT_S: numberVar({
      default: 5,
      min: 0.05,
      max: 3600,
      doc: 'A gateway that answers no ping for this long is gone.',
    }),
    WORKER_CATCHUP_SESSIONS: integerVar({
      default: 0,
      min: 0,
      max: 4096,
      doc: 'Utterances behind that may catch up at once, as after the loss of another worker; 0: a quarter of the slots, two at least.',
    }),
    WORKER_DRAIN_S: numberVar({
      default: 20,
      min: 0,
      max: 600,
      doc: 'After SIGTERM sessions may move elsewhere, and utterances under way finish, within this time.',
    }),
  })
  .transform((env, context) => ({
    host: env.WORKER_BIND_HOST,
    port: env.WORKER_PORT,
    ...identitySettings(env),
    slots: env.WORKER_SLOTS,
    internalHost: env.INTERNAL_BIND_HOST,
    internalPort: env.INTERNAL_PORT,
    logLevel: env.LOG_LEVEL,
    redisUrl: env.REDIS_URL,
    fleet: env.FLEET_NAME,
    leaseTtlMs: env.LEASE_TTL_S * SECONDS,
    engines: env.ASR_ENGINE,
    vad: env.ASR_VAD,
    tickMs: env.WORKER_TICK_S * SECONDS,
    capacity: {
      floor: env.WORKER_SLOTS_MIN,
      ceiling: env.WORKER_SLOTS_MAX,
      start: env.WORKER_SLOTS_START,
      targetFrameLatencyMs: env.WORKER_TARGET_FRAME_LATENCY_MS,
      memoryUtilization: env.VLLM_GPU_MEMORY_UTILIZATION,
      maxNumSeqs: env.VLLM_MAX_NUM_SEQS,
    },
    process: processSettings(env, env.VOXTRAL_SERVED_MODEL_NAME),
    vllm: {
      baseUrl: env.VLLM_BASE_URL,
      apiKey: env.VLLM_API_KEY === '' ? undefined : env.VLLM_API_KEY,
      model: env.VOXTRAL_SERVED_MODEL_NAME,
      delayMs: env.VOXTRAL_TRANSCRIPTION_DELAY_MS,
      spares: env.VLLM_SPARE_SOCKETS,
      dialTimeoutMs: env.VLLM_DIAL_TIMEOUT_S * SECONDS,
      canaryIntervalMs: env.VLLM_CANARY_S * SECONDS,
      stallMs: env.VLLM_STALL_S * SECONDS,
      doneMs: env.VLLM_DONE_S * SECONDS,
    },
    pocketsphinxRoot: env.POCKETSPHINX_ROOT === '' ? undefined : env.POCKETSPHINX_ROOT,
    heartbeatMs: env.WORKER_HEARTBEAT_S * SECONDS,
    catchUpSessions: env.WORKER_CATCHUP_SESSIONS,
    drainMs: env.WORKER_DRAIN_S * SECONDS,
    batch: batchSettings(env),
    deletionCost: deletionCostSettings(env, (variable, message) =>
      context.addIssue({ code: 'custom', path: [variable], message }),
    ),
    transcription: {
      plan: segmentPlan({
        roll: env.STT_INTERNAL_ROLL,
        segmentS: env.STT_SEGMENT_SECONDS,
        pauseFromS: env.STT_SEGMENT_PAUSE_SECONDS,
        overlapS: env.STT_SEGMENT_OVERLAP_SECONDS,
        maxModelLen: env.VLLM_MAX_MODEL_LEN,
      }),
      maxBacklogSamples: Math.round(env.STT_MAX_BACKLOG_SECONDS * SAMPLE_RATE),
      finishTimeoutMs: env.STT_FINISH_TIMEOUT_S * SECONDS,
      quietTimeoutMs: env.STT_QUIET_SECONDS * SECONDS,
      recovery: {
        maxAttempts: env.STT_MAX_RECOVERIES,
        overlapSamples: Math.round(env.STT_RECOVERY_OVERLAP_SECONDS * SAMPLE_RATE),
        replaySamples: Math.round(env.STT_REPLAY_SECONDS * SAMPLE_RATE),
      },
    },
  }));

export type WorkerConfig = z.infer<typeof WorkerEnv>;
