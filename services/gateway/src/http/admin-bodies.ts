import type { IncomingMessage } from 'node:http';
import type { NestExpressApplication } from '@nestjs/platform-express';
import {
  ModelName,
  SCOPES,
  TENANT_NAMES_MAX,
  TenantId,
  TenantLimits,
} from '@voice-fleet/fleet/tenant';
import { TOKEN_TTL_S } from '@voice-fleet/fleet/tenants/credential-store';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { z } from 'zod';

const BODY_BYTES_MAX = 64 * 1024;
const YEAR_S = 366 * 86_400;
export const OVERLAP_S = { max: 30 * 86_400, default: 86_400 } as const;
export const KEY_LIFE_S_MAX = 10 * YEAR_S;

/** Where a body is read as JSON whatever it says it is: curl says that it sends a form. */
const JSON_PATHS = /^\/(admin\/v1|v1\/tokens|v1\/realtime\/client_secrets)(?![^/?])/;
/** Carried on as they come, or refused as JSON, so they must not be read here. */
const CARRIED_PATHS = /^\/v1\/(?:audio\/speech|chat\/completions|listen)(?![^/?])/;
const JSON_TYPE = /^application\/json\b/i;

/** Lets the application read JSON bodies of up to 64 KiB, but for those that are carried on; for one that was created with `bodyParser: false`. */
export function useJsonBodies(app: NestExpressApplication): void {
  app.useBodyParser('json', {
    limit: BODY_BYTES_MAX,
    type: ({ url = '', headers }: IncomingMessage) =>
      JSON_PATHS.test(url) ||
      (JSON_TYPE.test(headers['content-type'] ?? '') && !CARRIED_PATHS.test(url)),
  });
}

/** `maxSessionS` is `max_session_s` outside. */
export function outsideName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

const limitNames = Object.keys(TenantLimits.shape) as (keyof TenantLimits)[];

/** Some of the limits, under their outside names; without defaults, so that what is left out stays as it is. */
const Limits = z
  .strictObject(
    Object.fromEntries(
      limitNames.map((name) => [
        outsideName(name),
        (TenantLimits.shape[name].unwrap() as z.ZodType).optional(),
      ]),
    ),
  )
  .transform(
    (given): Partial<TenantLimits> =>
      Object.fromEntries(
        limitNames.flatMap((name) => {
          const value = given[outsideName(name)];
          return value === undefined ? [] : [[name, value]];
        }),
      ),
  );

const name = z.string().max(200);
const scopes = z.array(z.enum(SCOPES)).min(1);

export const CreateTenantBody = z.strictObject({
  id: TenantId,
  name: name.optional(),
  limits: Limits.optional(),
  aliases: z.record(ModelName, ModelName.nullable()).optional(),
  models: z.array(ModelName).max(TENANT_NAMES_MAX).optional(),
  disabled: z.boolean().optional(),
});

export const UpdateTenantBody = CreateTenantBody.omit({ id: true });

export const CreateKeyBody = z.strictObject({
  name: name.optional(),
  scopes: scopes.optional(),
  expires_in_s: z.number().positive().max(KEY_LIFE_S_MAX).optional(),
});

export const RotateKeyBody = z.strictObject({
  overlap_s: z.number().min(0).max(OVERLAP_S.max).default(OVERLAP_S.default),
});

export const MintTokenBody = z.strictObject({
  ttl_s: z.number().min(TOKEN_TTL_S.min).max(TOKEN_TTL_S.max).optional(),
  scopes: scopes.optional(),
});

/** Throws VoiceError `invalid_message` with each wrong field in its details. No body counts as an empty object. */
export function parseBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body ?? {});
  if (result.success) return result.data;
  const details: Record<string, string> = {};
  for (const { path, message } of result.error.issues) details[path.join('.') || 'body'] = message;
  const [first] = Object.entries(details);
  throw new VoiceError('invalid_message', {
    message: `The body is not valid: ${first?.join(': ')}`,
    details,
  });
}
