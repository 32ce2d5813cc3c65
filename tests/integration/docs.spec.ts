import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { YapCodec } from '@voice-fleet/gateway/dialects/yap/codec';
import { ERRORS } from '@voice-fleet/protocol/errors';
import { YAP_CLIENT_TYPES, YapServerFrame } from '@voice-fleet/protocol/yap';

const ROOT = join(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/protocols/yap.md'), 'utf8');

/** Codes that this dialect has no occasion for, or says in other words. */
const ELSEWHERE = new Set([
  'at_capacity',
  'unsupported_media_type',
  'protocol_violation',
  'unsupported_sample_rate',
  'not_started',
  'streaming_disabled',
  'model_load_failed',
  'max_duration_exceeded',
  'asr_timeout',
  'llm_timeout',
  'llm_failed',
  'tts_timeout',
  'tts_failed',
]);

describe('docs/protocols/yap.md', () => {
  const codec = new YapCodec({
    unauthorizedCode: 1008,
    busyCode: 1013,
    idleReason: 'idle_timeout',
  });

  it('shows a conversation whose frames both sides accept', () => {
    const lines = page.split('\n').filter((line) => /^[←→] /.test(line));
    expect(lines.length).toBeGreaterThan(10);
    for (const line of lines) {
      const frame = line.slice(2);
      if (line.startsWith('→')) codec.decode(Buffer.from(frame), false);
      else YapServerFrame.parse(JSON.parse(frame));
    }
  });

  it('names every frame type and every error', () => {
    const types = YapServerFrame.options.map((option) => option.shape.type.value);
    for (const name of [...types, ...YAP_CLIENT_TYPES]) expect(page).toContain(`\`${name}\``);
    for (const code of Object.keys(ERRORS)) {
      if (!ELSEWHERE.has(code)) expect(page).toContain(`\`${code}\``);
    }
  });
});
