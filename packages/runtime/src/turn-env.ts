import { integerVar, numberVar } from './env.ts';

/** Bounds of a turn that llm-tts keeps and the gateway tells of in `/api/stream_config`. */
export const turnEnv = {
  STREAM_LLM_TIMEOUT_S: numberVar({
    default: 30,
    min: 5,
    max: 600,
    doc: 'A reply ends in LLM_TIMEOUT after this time; its first token must come within half of it, and within 5 s.',
  }),
  STREAM_TTS_TIMEOUT_S: numberVar({
    default: 10,
    min: 1,
    max: 120,
    doc: 'A phrase that takes longer to speak is left out.',
  }),
  STREAM_MAX_PENDING_PHRASES: integerVar({
    default: 5,
    min: 1,
    max: 1000,
    doc: 'Phrases that may wait to be spoken; of more the oldest is left out.',
  }),
};
