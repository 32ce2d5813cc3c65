import { booleanVar, integerVar, numberVar, textVar } from '@voice-fleet/runtime/env';
import type { z } from 'zod';

const DEFAULT_PROMPT =
  'You are a voice assistant. Your replies are spoken aloud, so answer in a few short, plain sentences, without lists, markup, links or emoji. Reply in the language you are spoken to.';

/** Variables of the language model that answers turns. */
export const llmEnv = {
  OPENAI_BASE_URL: textVar({
    default: '',
    pattern: /^https?:\/\/[^\s@]+$/,
    doc: 'Any API that is compatible with OpenAI’s, its `/v1` included, as of vLLM. Empty with a key: OpenAI itself. Empty without: built-in rules answer, which are no language model.',
  }),
  OPENAI_API_KEY: textVar({
    default: '',
    secret: true,
    pattern: /^[\x21-\x7e]+$/,
    doc: 'Its key; vLLM needs none.',
  }),
  OPENAI_MODEL: textVar({ default: 'gpt-3.5-turbo', doc: 'Model that answers.' }),
  OPENAI_MAX_TOKENS: integerVar({
    default: 150,
    min: 1,
    max: 32_768,
    doc: 'Tokens of a reply at the most.',
  }),
  OPENAI_TEMPERATURE: numberVar({
    default: 0.7,
    min: 0,
    max: 2,
    doc: 'How freely the model chooses its words.',
  }),
  LLM_SYSTEM_PROMPT: textVar({ default: DEFAULT_PROMPT, doc: 'What the model is told first.' }),
  LLM_USE_LOCAL_FALLBACK: booleanVar({
    default: false,
    doc: 'The built-in rules also answer when the model fails before its first token. They say that they are none.',
  }),
};

export type LlmEnv = {
  readonly [Name in keyof typeof llmEnv]: z.infer<(typeof llmEnv)[Name]>;
};

export interface LlmSettings {
  /** Undefined: no model is configured. */
  readonly openai:
    | {
        readonly baseUrl: string;
        readonly apiKey: string;
        readonly model: string;
        readonly maxTokens: number;
        readonly temperature: number;
      }
    | undefined;
  readonly systemPrompt: string;
  readonly fallback: boolean;
}

const OPENAI_ITSELF = 'https://api.openai.com/v1';
/** Servers without keys take any; the client insists on one. */
const NO_KEY = 'none';

export function llmSettings(env: LlmEnv): LlmSettings {
  const isConfigured = env.OPENAI_BASE_URL !== '' || env.OPENAI_API_KEY !== '';
  return {
    openai: isConfigured
      ? {
          baseUrl: env.OPENAI_BASE_URL || OPENAI_ITSELF,
          apiKey: env.OPENAI_API_KEY || NO_KEY,
          model: env.OPENAI_MODEL,
          maxTokens: env.OPENAI_MAX_TOKENS,
          temperature: env.OPENAI_TEMPERATURE,
        }
      : undefined,
    systemPrompt: env.LLM_SYSTEM_PROMPT,
    fallback: env.LLM_USE_LOCAL_FALLBACK,
  };
}
