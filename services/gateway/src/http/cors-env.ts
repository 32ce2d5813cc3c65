import { textVar } from '@voice-fleet/runtime/env';
import type { z } from 'zod';

/** Variables of what pages of other origins may do. */
export const corsEnv = {
  HTTP_CORS_ORIGINS: textVar({
    default: '',
    pattern: /^(?:|\*|https?:\/\/[^\s,/*]+(?:,https?:\/\/[^\s,/*]+)*)$/,
    doc: 'Origins whose pages may use the HTTP API, such as https://app.example,http://localhost:3000; *: all. Never /admin.',
  }),
};

type CorsEnv = { readonly [Name in keyof typeof corsEnv]: z.infer<(typeof corsEnv)[Name]> };

/** The origins, in order; empty: none but its own. */
export function corsOrigins(env: CorsEnv): readonly string[] {
  return env.HTTP_CORS_ORIGINS.split(',').filter((origin) => origin !== '');
}
