import { VoiceError } from '@voice-fleet/protocol/errors';

/** A client may name the model that is served, or none. Throws VoiceError for any other. */
export function expectModel(requested: string | undefined, served: string): void {
  if (requested === undefined || requested === served) return;
  throw new VoiceError('unsupported_model', {
    details: { allowed_model: served, requested: requested.slice(0, 200) },
  });
}
