import { VoiceError } from '@voice-fleet/protocol/errors';
import type { z } from 'zod';

/** Throws VoiceError `invalid_message`, whose detail `parameter` is the first wrong field. Faults name fields and bounds, never what was said. */
export function parseRequest<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const parameter = issue?.path.join('.') || 'body';
  throw new VoiceError('invalid_message', {
    message: `${parameter}: ${issue?.message ?? 'not valid'}`,
    details: { parameter },
  });
}
