import { describe, expect, it } from '@jest/globals';
import { ConfigError } from '@voice-fleet/runtime/env';
import { leanConfig } from './lean-config.ts';

const faults = (env: Record<string, string>): string[] => {
  try {
    leanConfig(env);
    return [];
  } catch (error) {
    return error instanceof ConfigError ? error.faults.map(({ variable }) => variable) : [];
  }
};

describe('the settings of a lean gateway', () => {
  it('have ports of their own, whatever those of the other gateway are', () => {
    const { gateway, lean } = leanConfig({ SERVER_PORT: '8000', MODEL_WHISPER: '' });
    expect([gateway.port, gateway.internalPort]).toEqual([8100, 9101]);
    expect(lean).toEqual({ modelLabel: 'small-int8', saveDir: '', debug: false, guestKey: '' });
    expect(leanConfig({ PORT: '8101' }).gateway.port).toBe(8101);
  });

  it('follow the old names', () => {
    const { lean } = leanConfig({
      MODEL_WHISPER: 'tiny',
      STREAM_SAVE_DIR: '/srv/said',
      STREAM_DEBUG: '1',
    });
    expect(lean).toMatchObject({ modelLabel: 'tiny', saveDir: '/srv/said', debug: true });
  });

  it('let guests in only when open, with a key that nobody knows, or the one that is set', () => {
    expect(leanConfig({ VOXTRAL_API_KEY: 'k' }).lean.guestKey).toBe('');
    const { gateway, lean } = leanConfig({ LEAN_OPEN: '1' });
    expect(lean.guestKey).toMatch(/^[\w-]{32}$/);
    expect(gateway.apiKey).toBe(lean.guestKey);
    expect(leanConfig({ LEAN_OPEN: '1' }).lean.guestKey).not.toBe(lean.guestKey);
    expect(leanConfig({ LEAN_OPEN: '1', VOXTRAL_API_KEY: 'k' }).lean.guestKey).toBe('k');
  });

  it('name what is wrong by the name that was used', () => {
    expect(faults({ PORT: '70000', STREAM_DEBUG: 'perhaps' })).toEqual(['PORT', 'STREAM_DEBUG']);
    expect(faults({ STREAM_VAD_SILENCE_MS: '1' })).toEqual(['STREAM_VAD_SILENCE_MS']);
  });
});
