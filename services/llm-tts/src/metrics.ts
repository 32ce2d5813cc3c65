import { showBuild } from '@voice-fleet/telemetry/build-info';
import { LatencyHistogram } from '@voice-fleet/telemetry/latency-histogram';
import { collectNodeMetrics } from '@voice-fleet/telemetry/metrics-page';
import { SpanMetric } from '@voice-fleet/telemetry/tracing/span-metric';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { API_OUTCOMES, API_ROUTES, type ApiStats } from './api/api-requests.ts';
import type { SpeechStats } from './api/speech-service.ts';
import { MODEL_LABELS } from './llm/engine.ts';
import type { PhraseOutcome } from './tts/phrase-queue.ts';

const TURN_OUTCOMES = ['spoken', 'failed', 'cancelled'] as const;
export type TurnOutcome = (typeof TURN_OUTCOMES)[number];

import type { ChatStats } from './chat/audio-chat.ts';
import { REPLY_OUTCOMES } from './chat/audio-reply.ts';

/** Those of the semantic conventions for generative AI. */
const GEN_AI_BUCKETS_S = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/** Every metric of llm-tts. Labels are bounded: never a conversation, voice or text. */
export class LlmTtsMetrics {
  readonly registry = new Registry();
  readonly spans = new SpanMetric(this.registry);
  readonly #registers = [this.registry];

  readonly turnsActive = new Gauge({
    name: 'voice_llm_tts_turns_active',
    help: 'Turns under way.',
    registers: this.#registers,
  });
  readonly turns = new Counter({
    name: 'voice_llm_tts_turns_total',
    help: 'Turns by how they ended, and by who answered. cancelled: the gateway closed the request.',
    labelNames: ['outcome', 'model'],
    registers: this.#registers,
  });
  readonly turnsRefused = new Counter({
    name: 'voice_llm_tts_turns_refused_total',
    help: 'Turns answered with 503, as too many were under way or the service was told to stop.',
    registers: this.#registers,
  });
  readonly firstTokenSeconds = new LatencyHistogram({
    name: 'voice_llm_tts_first_token_seconds',
    help: 'From the request to the first token of its reply.',
    labelNames: ['model'],
    buckets: GEN_AI_BUCKETS_S,
    registers: this.#registers,
  });
  readonly interTokenSeconds = new Histogram({
    name: 'voice_llm_tts_inter_token_seconds',
    help: 'From one token of a reply to the next.',
    labelNames: ['model'],
    buckets: GEN_AI_BUCKETS_S,
    registers: this.#registers,
  });
  readonly firstSpeechSeconds = new LatencyHistogram({
    name: 'voice_llm_tts_first_speech_seconds',
    help: 'From the request to the first spoken phrase of its reply.',
    labelNames: ['model'],
    buckets: GEN_AI_BUCKETS_S,
    registers: this.#registers,
  });
  readonly turnSeconds = new Histogram({
    name: 'voice_llm_tts_turn_seconds',
    help: 'From the request to the last event.',
    labelNames: ['outcome'],
    buckets: [0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60],
    registers: this.#registers,
  });
  readonly tokens = new Counter({
    name: 'voice_llm_tts_tokens_total',
    help: 'Tokens passed on.',
    labelNames: ['model'],
    registers: this.#registers,
  });
  readonly llmFaults = new Counter({
    name: 'voice_llm_tts_llm_faults_total',
    help: 'Replies that came to no end, and those that the built-in rules gave in place of the model.',
    labelNames: ['cause'],
    registers: this.#registers,
  });
  readonly memoryFaults = new Counter({
    name: 'voice_llm_tts_memory_faults_total',
    help: 'Turns that went on without what was said earlier, or were not remembered, as Redis was away.',
    labelNames: ['step'],
    registers: this.#registers,
  });

  readonly phrases = new Counter({
    name: 'voice_llm_tts_phrases_total',
    help: 'Phrases by engine and what became of them: spoken, failed, timeout, dropped.',
    labelNames: ['engine', 'outcome'],
    registers: this.#registers,
  });
  readonly phraseSeconds = new Histogram({
    name: 'voice_llm_tts_phrase_seconds',
    help: 'To speak a phrase, from when its engine was asked.',
    labelNames: ['engine'],
    buckets: [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30],
    registers: this.#registers,
  });

  readonly audioRepliesActive = new Gauge({
    name: 'voice_llm_tts_audio_replies_active',
    help: 'Requests for a reply from audio under way.',
    registers: this.#registers,
  });
  readonly audioReplies = new Counter({
    name: 'voice_llm_tts_audio_replies_total',
    help: 'Replies from audio by how they ended.',
    labelNames: ['outcome'],
    registers: this.#registers,
  });
  readonly audioReplyFirstChunkSeconds = new LatencyHistogram({
    name: 'voice_llm_tts_audio_reply_first_chunk_seconds',
    help: 'From a request for a reply from audio to its first words. What is aimed at is 0.1.',
    buckets: [0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60],
    registers: this.#registers,
  });
  readonly audioReplySeconds = new Histogram({
    name: 'voice_llm_tts_audio_reply_duration_seconds',
    help: 'From a request for a reply from audio to its last words, of replies that were made. What is aimed at is 0.5.',
    buckets: [0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60],
    registers: this.#registers,
  });

  readonly apiRequestsActive = new Gauge({
    name: 'voice_llm_tts_api_requests_active',
    help: 'Requests for speech and chat completions under way.',
    registers: this.#registers,
  });
  readonly apiRequests = new Counter({
    name: 'voice_llm_tts_api_requests_total',
    help: 'Requests for speech and chat completions by how they ended. refused: the mistake of a client, or all places taken.',
    labelNames: ['route', 'outcome'],
    registers: this.#registers,
  });
  readonly speechFirstAudioSeconds = new LatencyHistogram({
    name: 'voice_llm_tts_speech_first_audio_seconds',
    help: 'From a request for speech to the first bytes of it.',
    buckets: [0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30],
    registers: this.#registers,
  });
  readonly speechCharacters = new Counter({
    name: 'voice_llm_tts_speech_characters_total',
    help: 'Characters of texts that were spoken as a whole.',
    registers: this.#registers,
  });

  constructor() {
    collectNodeMetrics(this.registry);
    showBuild(this.registry, 'llm-tts', '');
    for (const model of MODEL_LABELS) {
      for (const histogram of [this.firstTokenSeconds, this.interTokenSeconds])
        histogram.zero({ model });
      this.firstSpeechSeconds.zero({ model });
      this.tokens.labels(model).inc(0);
      for (const outcome of TURN_OUTCOMES) this.turns.labels(outcome, model).inc(0);
    }
    for (const cause of ['llm_timeout', 'llm_failed', 'fallback'])
      this.llmFaults.labels(cause).inc(0);
    for (const step of ['recall', 'remember']) this.memoryFaults.labels(step).inc(0);
    for (const route of API_ROUTES)
      for (const outcome of API_OUTCOMES) this.apiRequests.labels(route, outcome).inc(0);
    for (const outcome of REPLY_OUTCOMES) this.audioReplies.labels(outcome).inc(0);
    for (const outcome of TURN_OUTCOMES) this.turnSeconds.zero({ outcome });
  }

  countPhrase({ engine, outcome, seconds }: PhraseOutcome): void {
    this.phrases.inc({ engine, outcome });
    if (outcome === 'spoken') this.phraseSeconds.observe({ engine }, seconds);
  }

  /** What replies from audio count. */
  readonly audioChat: ChatStats = {
    onActive: (count) => this.audioRepliesActive.set(count),
    onReply: ({ outcome, firstChunkMs, totalMs }) => {
      this.audioReplies.labels(outcome).inc();
      if (firstChunkMs !== undefined) this.audioReplyFirstChunkSeconds.record(firstChunkMs / 1000);
      if (outcome === 'replied') this.audioReplySeconds.observe(totalMs / 1000);
    },
  };

  /** What requests for speech and chat completions count. */
  readonly api: ApiStats & SpeechStats = {
    onActive: (count) => this.apiRequestsActive.set(count),
    onEnd: (route, outcome) => this.apiRequests.labels(route, outcome).inc(),
    onFirstAudio: (seconds) => this.speechFirstAudioSeconds.record(seconds),
    onCharacters: (count) => this.speechCharacters.inc(count),
  };
}
