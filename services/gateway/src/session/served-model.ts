import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Route } from './link.ts';

/**
 * The model that a name means to the client of a session, by what is known at once; `undefined`: whatever is served. Throws
 * VoiceError `model_not_found`; see ModelNames.
 */
export type MeantModel = (requested: string) => string | undefined;

/** A client may name the model that its session has, by any of its names. Throws VoiceError `unsupported_model` for all else. */
export function expectModel(
  requested: string | undefined,
  served: string,
  meant?: MeantModel,
): void {
  if (requested === undefined || requested === served) return;
  if (known(requested, meant) !== served) throw unsupported(requested, served);
}

/**
 * The same of clients that name what other services have: a vendor's name is good for any model. A name that nobody has is
 * `model_not_found`. With its own name, the session keeps to this model wherever it moves.
 */
export function expectMeant(
  requested: string,
  served: string,
  { meant, route }: { readonly meant?: MeantModel; readonly route: Pick<Route, 'keepTo'> },
): void {
  const name = requested === served ? served : meant?.(requested);
  if (name !== undefined && name !== served)
    throw unsupported(
      requested,
      served,
      `This session has the model ${served}, and keeps it. For another one open a session whose address names it (?model=).`,
    );
  if (name === served) route.keepTo?.(served);
}

function known(requested: string, meant: MeantModel | undefined): string | undefined {
  try {
    return meant?.(requested);
  } catch (error) {
    if (error instanceof VoiceError) return undefined;
    throw error;
  }
}

function unsupported(requested: string, served: string, message?: string): VoiceError {
  return new VoiceError('unsupported_model', {
    ...(message && { message }),
    details: { allowed_model: served, requested: requested.slice(0, 200) },
  });
}
