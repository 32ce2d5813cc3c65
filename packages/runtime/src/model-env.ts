import { z } from 'zod';
import { textVar } from './env.ts';

/** More would have to be looked through by those who read a list of models. */
const MAX_ALIASES = 100;
const name = z.string().min(1).max(200);
const Aliases = z
  .record(name, name)
  .refine((aliases) => Object.keys(aliases).length <= MAX_ALIASES);

const DOC =
  'Further names of models: {"my-whisper": "served-name"}. Names that vendors use mean what is served without it.';

/** Variables of the names that models go by. */
export const modelEnv = {
  MODEL_ALIASES: textVar({ default: '{}', doc: DOC })
    .transform((text, context): ModelAliases => {
      try {
        return new Map(Object.entries(Aliases.parse(JSON.parse(text))));
      } catch {
        const message = `must be a JSON object of at most ${MAX_ALIASES} names`;
        context.addIssue({ code: 'custom', message });
        return z.NEVER;
      }
    })
    .meta({ doc: DOC, type: 'JSON', default: '{}' }),
};

/** Name of a client → name of a model that is served. */
export type ModelAliases = ReadonlyMap<string, string>;
