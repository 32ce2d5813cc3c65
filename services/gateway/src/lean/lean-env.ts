import { booleanVar, integerVar, textVar } from '@voice-fleet/runtime/env';
import { z } from 'zod';

/** What the lean entry reads beside the gateway's own variables. `docs/configuration.md` is generated from it. */
export const LeanEnv = z
  .object({
    PORT: integerVar({
      default: 8100,
      min: 0,
      max: 65_535,
      doc: 'Public port, instead of SERVER_PORT; 0 takes a free one.',
    }),
    MODEL_WHISPER: textVar({
      default: '',
      doc: 'Told as `model` by `/health`. Empty: STREAM_MODEL_WHISPER. The model is chosen by the workers.',
    }),
    STREAM_SAVE_DIR: textVar({
      default: '',
      doc: 'Folder in which each final transcript is kept as a text file. Empty: none is kept.',
    }),
    STREAM_DEBUG: booleanVar({ default: false, doc: 'Whether clients are sent debug events.' }),
    LEAN_OPEN: booleanVar({
      default: false,
      doc: 'Whether clients need no key: they then count as the tenant `default`. For one machine alone.',
    }),
    INTERNAL_PORT: integerVar({
      default: 9101,
      min: 0,
      max: 65_535,
      doc: 'Port for health and metrics; not that of a gateway on the same machine.',
    }),
  })
  .transform((env) => ({
    port: env.PORT,
    internalPort: env.INTERNAL_PORT,
    modelLabel: env.MODEL_WHISPER,
    saveDir: env.STREAM_SAVE_DIR,
    debug: env.STREAM_DEBUG,
    open: env.LEAN_OPEN,
  }));

/** What a lean gateway is beside what every gateway is. */
export interface LeanSettings {
  readonly modelLabel: string;
  /** Empty: transcripts are not kept. */
  readonly saveDir: string;
  readonly debug: boolean;
  /** Used for clients that bring no key; empty: they are refused. */
  readonly guestKey: string;
}
