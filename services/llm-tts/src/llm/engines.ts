import type { Clock } from '@voice-fleet/runtime/clock';
import type { LlmEngine } from './engine.ts';
import { FallbackEngine } from './fallback.ts';
import type { LlmSettings } from './llm-env.ts';
import { OpenAiEngine } from './openai.ts';
import { RulesEngine } from './rules/rules.ts';

export interface LlmDeps {
  readonly clock: Clock;
  /** With the fallback, the model must have begun by then. */
  readonly patienceMs: number;
  readonly onFallback: (error: unknown) => void;
}

/** The engine that these settings ask for. */
export function llmFrom({ openai, fallback }: LlmSettings, deps: LlmDeps): LlmEngine {
  const rules = new RulesEngine(deps.clock);
  if (openai === undefined) return rules;
  const remote = new OpenAiEngine(openai);
  return fallback ? new FallbackEngine(remote, rules, deps) : remote;
}
