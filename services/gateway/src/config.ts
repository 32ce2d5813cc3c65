import { fleetEnv } from '@voice-fleet/fleet/env';
import { audioChatEnv } from '@voice-fleet/runtime/audio-chat-env';
import { chatCompletionsEnv } from '@voice-fleet/runtime/chat-completions-env';
import {
  booleanVar,
  integerVar,
  numberVar,
  secondsOrOffVar,
  textVar,
} from '@voice-fleet/runtime/env';
import { modelEnv } from '@voice-fleet/runtime/model-env';
import { operatorEnv } from '@voice-fleet/runtime/operator-env';
import { z } from 'zod';
import { demandEnv, demandSettings } from './demand/demand-env.ts';
import { corsEnv, corsOrigins } from './http/cors-env.ts';
import { recordingEnv, recordingSettings } from './http/recording-env.ts';
import { tlsEnv, tlsSettings } from './http/tls-env.ts';
import { jobsEnv, jobsSettings } from './jobs/jobs-env.ts';
import { placementEnv, placementSettings } from './routing/placement-env.ts';
import { voiceEnv, voiceSettings } from './voice/voice-env.ts';

const SECONDS = 1000;
/** What RFC 6455 lets an endpoint send. */
const closeCode = {
  min: 1000,
  max: 4999,
  valid: (code: number) => code >= 3000 || (code <= 1014 && (code < 1004 || code > 1006)),
  rule: '1000..1003, 1007..1014 or 3000..4999',
};

/** Every variable the gateway reads. `docs/configuration.md` is generated from it. */
export const GatewayEnv = z
  .object({
    ...operatorEnv(9100),
    ...fleetEnv,
    ...voiceEnv,
    ...recordingEnv,
    ...corsEnv,
    ...modelEnv,
    ...audioChatEnv,
    ...tlsEnv,
    ...chatCompletionsEnv,
    ...jobsEnv,
    ...placementEnv,
    ...demandEnv,
    SERVER_BIND_HOST: textVar({ default: '0.0.0.0', doc: 'Address the public port listens on.' }),
    SERVER_PORT: integerVar({
      default: 8000,
      min: 0,
      max: 65_535,
      doc: 'Public port; 0 takes a free one.',
    }),
    VOXTRAL_API_KEY: textVar({
      default: '',
      secret: true,
      doc: 'Key of the tenant `default`, beside the stored keys. Empty: only stored keys are accepted.',
    }),
    MAX_CONCURRENT_CONNECTIONS: integerVar({
      default: 0,
      min: 0,
      max: 1_000_000,
      doc: 'Sessions in the whole fleet at the most; 0: as many as the workers have slots.',
    }),
    ADMIN_API_KEY: textVar({
      default: '',
      secret: true,
      doc: 'Key of the admin API. Empty: there is none.',
    }),
    ADMISSION_HOLD_S: numberVar({
      default: 5,
      min: 0,
      max: 60,
      doc: 'When all slots are taken, a client waits so long for one before it is refused; 0 refuses at once.',
    }),
    ADMISSION_MAX_WAIT_S: numberVar({
      default: 300,
      min: 0,
      max: 3600,
      doc: 'The longest that a client may ask to wait in line.',
    }),
    ADMISSION_LINE_MAX: integerVar({
      default: 1000,
      min: 0,
      max: 100_000,
      doc: 'Clients that may wait in the whole fleet.',
    }),
    FAILOVER_TIMEOUT_S: numberVar({
      default: 30,
      min: 0.05,
      max: 60,
      doc: 'An utterance whose worker was lost fails when no other is found within this time.',
    }),
    FAILOVER_MAX_LOSSES: integerVar({
      default: 5,
      min: 0,
      max: 100,
      doc: 'An utterance fails after so many lost workers in a row, each before 10 s of audio were settled.',
    }),
    RESUME_TTL_S: numberVar({
      default: 60,
      // An idle session is saved every two seconds.
      min: 3,
      max: 3600,
      doc: 'A resumable session may be taken up again so long after its connection was lost.',
    }),
    DRAIN_S: numberVar({
      default: 10,
      min: 0,
      max: 600,
      doc: 'After SIGTERM, an utterance of a session that cannot be resumed may go on so long.',
    }),
    WS_IDLE_TIMEOUT_S: secondsOrOffVar({
      default: 150,
      doc: 'A session outside an utterance and without any frame is closed after this time.',
    }),
    WS_MAX_CONNECTION_DURATION_S: secondsOrOffVar({
      default: 5400,
      doc: 'A session is closed after this time, whatever it does.',
    }),
    WS_WATCHDOG_TICK_S: numberVar({
      default: 5,
      min: 0.05,
      max: 60,
      doc: 'How often the two limits above are looked at.',
    }),
    WS_INBOUND_QUEUE_MAX: integerVar({
      default: 256,
      min: 1,
      max: 100_000,
      doc: 'Frames that may wait at a worker. More hold the client; if none is taken for a second, the session ends.',
    }),
    WS_MAX_MESSAGE_BYTES: integerVar({
      default: 1_048_576,
      min: 1024,
      max: 33_554_432,
      doc: 'A larger message is answered with an error; one four times as large closes the socket (1009).',
    }),
    WS_MAX_BYTES_PER_S: integerVar({
      default: 1_048_576,
      min: 0,
      max: 1_073_741_824,
      doc: 'A client that sends more, beyond four seconds of it at once, is read no faster than this; 0: as fast as it sends.',
    }),
    WS_MAX_PENDING: integerVar({
      default: 2048,
      min: 1,
      max: 1_000_000,
      doc: 'Sockets of this gateway that are not admitted yet. More upgrades are answered with 503.',
    }),
    WS_MAX_CONNECTIONS: integerVar({
      default: 0,
      min: 0,
      max: 1_000_000,
      doc: 'Sockets of this gateway, admitted or not; 0: any number. More upgrades are answered with 503.',
    }),
    HTTP_HEADERS_TIMEOUT_S: numberVar({
      default: 10,
      min: 0.1,
      max: 300,
      doc: 'The headers of a request must be there within this time of its connection, a whole request that brings no recording within three times it.',
    }),
    HTTP_UPLOAD_TIMEOUT_S: numberVar({
      default: 600,
      min: 1,
      max: 86_400,
      doc: 'A request with a recording must be there within this time.',
    }),
    WS_RATE_LIMIT: booleanVar({
      default: false,
      doc: 'Whether the four message and cancel limits below are in force.',
    }),
    WS_MAX_MESSAGES_PER_WINDOW: integerVar({
      default: 5000,
      min: 0,
      max: 10_000_000,
      doc: 'Messages of one session in a window; 0 is no limit. Ping, pong and end do not count.',
    }),
    WS_MESSAGE_WINDOW_S: numberVar({
      default: 60,
      min: 0.1,
      max: 3600,
      doc: 'Length of that window.',
    }),
    WS_MAX_CANCELS_PER_WINDOW: integerVar({
      default: 50,
      min: 0,
      max: 10_000_000,
      doc: 'Cancels of one session in a window; 0 is no limit.',
    }),
    WS_CANCEL_WINDOW_S: numberVar({
      default: 60,
      min: 0.1,
      max: 3600,
      doc: 'Length of that window.',
    }),
    WS_CLOSE_UNAUTHORIZED_CODE: integerVar({
      default: 1008,
      ...closeCode,
      doc: 'Close code for a wrong key.',
    }),
    WS_CLOSE_BUSY_CODE: integerVar({
      default: 1013,
      ...closeCode,
      doc: 'Close code when no session can be taken or the inbound queue is full.',
    }),
    WS_CLOSE_IDLE_REASON: textVar({
      default: 'idle_timeout',
      doc: 'Close reason of an idle session.',
    }),
    WS_HEARTBEAT_S: numberVar({
      default: 30,
      min: 0.05,
      max: 3600,
      doc: 'A peer that answers no ping for this long is gone.',
    }),
    LINK_DIAL_TIMEOUT_S: numberVar({
      default: 3,
      min: 0.05,
      max: 60,
      doc: 'A worker that is not ready for a session within this time is passed over.',
    }),
    SHUTDOWN_TIMEOUT_S: numberVar({
      default: 20,
      min: 1,
      max: 600,
      doc: 'After SIGTERM the process ends within this time. More than DRAIN_S.',
    }),
  })
  .transform((env) => ({
    host: env.SERVER_BIND_HOST,
    port: env.SERVER_PORT,
    tls: tlsSettings(env),
    internalHost: env.INTERNAL_BIND_HOST,
    internalPort: env.INTERNAL_PORT,
    logLevel: env.LOG_LEVEL,
    redisUrl: env.REDIS_URL,
    fleet: env.FLEET_NAME,
    placement: placementSettings(env),
    leaseTtlMs: env.LEASE_TTL_S * SECONDS,
    apiKey: env.VOXTRAL_API_KEY,
    adminKey: env.ADMIN_API_KEY,
    holdMs: env.ADMISSION_HOLD_S * SECONDS,
    maxWaitMs: env.ADMISSION_MAX_WAIT_S * SECONDS,
    maxWaiting: env.ADMISSION_LINE_MAX,
    resumeTtlMs: env.RESUME_TTL_S * SECONDS,
    drainMs: env.DRAIN_S * SECONDS,
    maxSessions: env.MAX_CONCURRENT_CONNECTIONS,
    maxMessageBytes: env.WS_MAX_MESSAGE_BYTES,
    maxBytesPerS: env.WS_MAX_BYTES_PER_S,
    upgrades: {
      maxPending: env.WS_MAX_PENDING,
      maxConnections: env.WS_MAX_CONNECTIONS,
      holdMs: env.ADMISSION_HOLD_S * SECONDS,
    },
    headersTimeoutMs: env.HTTP_HEADERS_TIMEOUT_S * SECONDS,
    uploadTimeoutMs: env.HTTP_UPLOAD_TIMEOUT_S * SECONDS,
    heartbeatMs: env.WS_HEARTBEAT_S * SECONDS,
    shutdownTimeoutMs: env.SHUTDOWN_TIMEOUT_S * SECONDS,
    limits: {
      idleTimeoutMs: env.WS_IDLE_TIMEOUT_S,
      maxDurationMs: env.WS_MAX_CONNECTION_DURATION_S,
      watchdogTickMs: env.WS_WATCHDOG_TICK_S * SECONDS,
      messagesPerWindow: env.WS_RATE_LIMIT ? env.WS_MAX_MESSAGES_PER_WINDOW : 0,
      messageWindowMs: env.WS_MESSAGE_WINDOW_S * SECONDS,
      cancelsPerWindow: env.WS_RATE_LIMIT ? env.WS_MAX_CANCELS_PER_WINDOW : 0,
      cancelWindowMs: env.WS_CANCEL_WINDOW_S * SECONDS,
      inboundQueueMax: env.WS_INBOUND_QUEUE_MAX,
      failover: {
        timeoutMs: env.FAILOVER_TIMEOUT_S * SECONDS,
        maxLosses: env.FAILOVER_MAX_LOSSES,
      },
    },
    yap: {
      unauthorizedCode: env.WS_CLOSE_UNAUTHORIZED_CODE,
      busyCode: env.WS_CLOSE_BUSY_CODE,
      idleReason: env.WS_CLOSE_IDLE_REASON,
    },
    voice: voiceSettings(env),
    recordings: recordingSettings(env),
    corsOrigins: corsOrigins(env),
    jobs: jobsSettings(env),
    demand: demandSettings(env),
    modelAliases: env.MODEL_ALIASES,
    audioChatMaxBytes: env.VOXTRAL_CHAT_MAX_BYTES,
    chatMaxBytes: env.CHAT_COMPLETIONS_MAX_BYTES,
    link: {
      dialTimeoutMs: env.LINK_DIAL_TIMEOUT_S * SECONDS,
      inboundQueueMax: env.WS_INBOUND_QUEUE_MAX,
      stallMs: 1000,
      heartbeatMs: 5000,
      closeTimeoutMs: 1000,
    },
  }));

export type GatewayConfig = z.infer<typeof GatewayEnv>;
