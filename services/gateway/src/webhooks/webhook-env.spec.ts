import { describe, expect, it } from '@jest/globals';
import { ConfigError, parseEnv } from '@voice-fleet/runtime/env';
import { z } from 'zod';
import { webhookEnv, webhookSettings } from './webhook-env.ts';

const settings = (env: Record<string, string>) =>
  webhookSettings(parseEnv(z.object(webhookEnv), env));

describe('the settings of webhooks', () => {
  it('are off without a secret, whatever hosts are allowed', () => {
    expect(settings({ JOBS_WEBHOOK_ALLOW: '*' })).toMatchObject({ secrets: [], allow: [] });
  });

  it('take several secrets, the newest first', () => {
    const JOBS_WEBHOOK_SECRET = 'a-new-one-0123456 , an-old-one-012345';
    expect(settings({ JOBS_WEBHOOK_SECRET })).toMatchObject({
      secrets: ['a-new-one-0123456', 'an-old-one-012345'],
      allow: ['*'],
    });
  });

  it.each(['short', 'a-new-one-0123456,short', 'a-new-one-0123456,'])(
    'take no secret that is easily guessed or left out: %j',
    (JOBS_WEBHOOK_SECRET) => {
      expect(() => settings({ JOBS_WEBHOOK_SECRET })).toThrow(ConfigError);
    },
  );
});
