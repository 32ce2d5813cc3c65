import { describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { endReason } from './close-reason.ts';

describe('why a session ended, in metrics', () => {
  it.each([
    ['its client closed it', undefined, 'client'],
    ['it was idle', { kind: 'idle' }, 'idle'],
    ['its key was revoked', { kind: 'error', error: new VoiceError('key_revoked') }, 'refused'],
    [
      'it broke the protocol',
      { kind: 'error', error: new VoiceError('invalid_message') },
      'refused',
    ],
    ['the fleet failed', { kind: 'error', error: new VoiceError('internal') }, 'error'],
    ['no worker was left', { kind: 'error', error: new VoiceError('fleet_unavailable') }, 'error'],
  ] as const)('%s', (_what, reason, name) => {
    expect(endReason(reason)).toBe(name);
  });
});
