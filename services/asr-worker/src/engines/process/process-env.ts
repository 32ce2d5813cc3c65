import { integerVar, numberVar, textVar } from '@voice-fleet/runtime/env';
import type { z } from 'zod';
import { childEnv } from './child-env.ts';
import { PROCESS_DEFAULTS, type ProcessSettings } from './engine.ts';

const SECONDS = 1000;

/** Variables of the engine `process`. */
export const processEnv = {
  VOXTRAL_PROCESS_BIN: textVar({
    default: 'voxtral',
    doc: 'Program of the engine `process`, in the manner of voxtral.c.',
  }),
  VOXTRAL_PROCESS_MODEL_DIR: textVar({
    default: 'models/voxtral',
    doc: 'Folder with its consolidated.safetensors.',
  }),
  VOXTRAL_PROCESS_INTERVAL_S: numberVar({
    default: 0.5,
    min: 0.1,
    max: 10,
    doc: 'How much audio it encodes at once (-I). Not the delay of the model, which is 480 ms.',
  }),
  VOXTRAL_PROCESS_START_TIMEOUT_S: numberVar({
    default: 120,
    min: 1,
    max: 3600,
    doc: 'Its first run, which loads the model, must end within this time.',
  }),
  VOXTRAL_PROCESS_STOP_GRACE_S: numberVar({
    default: 5,
    min: 0.1,
    max: 60,
    doc: 'Time to end by itself when it is stopped.',
  }),
  VOXTRAL_PROCESS_SLOTS: integerVar({
    default: 1,
    min: 1,
    max: 64,
    doc: 'Processes at once; each holds a model of its own.',
  }),
};

type ProcessEnv = {
  readonly [Name in keyof typeof processEnv]: z.infer<(typeof processEnv)[Name]>;
};

/** `model`: the name under which clients know it. */
export function processSettings(env: ProcessEnv, model: string): ProcessSettings {
  return {
    binary: env.VOXTRAL_PROCESS_BIN,
    modelDir: env.VOXTRAL_PROCESS_MODEL_DIR,
    model,
    intervalS: env.VOXTRAL_PROCESS_INTERVAL_S,
    modelDelayMs: PROCESS_DEFAULTS.modelDelayMs,
    startTimeoutMs: env.VOXTRAL_PROCESS_START_TIMEOUT_S * SECONDS,
    stopGraceMs: env.VOXTRAL_PROCESS_STOP_GRACE_S * SECONDS,
    slots: env.VOXTRAL_PROCESS_SLOTS,
    env: childEnv(process.env),
  };
}
