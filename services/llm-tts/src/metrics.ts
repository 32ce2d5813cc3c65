import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** Every metric of llm-tts. Labels are bounded: never a conversation, voice or text. */
export class LlmTtsMetrics {
  readonly registry = new Registry();
  readonly #registers = [this.registry];

  readonly turnsActive = new Gauge({
    name: 'voice_llm_tts_turns_active',
    help: 'Turns under way.',
    registers: this.#registers,
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }
}
