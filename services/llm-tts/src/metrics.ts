import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { PhraseOutcome } from './tts/phrase-queue.ts';

/** Every metric of llm-tts. Labels are bounded: never a conversation, voice or text. */
export class LlmTtsMetrics {
  readonly registry = new Registry();
  readonly #registers = [this.registry];

  readonly turnsActive = new Gauge({
    name: 'voice_llm_tts_turns_active',
    help: 'Turns under way.',
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

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  countPhrase({ engine, outcome, seconds }: PhraseOutcome): void {
    this.phrases.inc({ engine, outcome });
    if (outcome === 'spoken') this.phraseSeconds.observe({ engine }, seconds);
  }
}
