import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { LeanCodec } from '@voice-fleet/gateway/dialects/lean/codec';
import { YAP_ERROR_CODES, YapCodec } from '@voice-fleet/gateway/dialects/yap/codec';
import {
  LEAN_DEBUG_EVENTS,
  LEAN_FINALIZE_REASONS,
  LeanErrorCode,
  LeanServerFrame,
} from '@voice-fleet/protocol/lean';
import { YAP_CLIENT_TYPES, YapServerFrame } from '@voice-fleet/protocol/yap';

const ROOT = join(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/protocols/yap.md'), 'utf8');

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
    const internalOnly = ['at_capacity'];
    for (const code of Object.keys(YAP_ERROR_CODES)) {
      if (!internalOnly.includes(code)) expect(page).toContain(`\`${code}\``);
    }
  });
});

describe('docs/protocols/lean.md', () => {
  const lean = readFileSync(join(ROOT, 'docs/protocols/lean.md'), 'utf8');

  it('shows a conversation whose frames both sides accept', () => {
    const lines = lean.split('\n').filter((line) => /^[←→] \{/.test(line));
    expect(lines.length).toBeGreaterThan(10);
    const codec = new LeanCodec();
    for (const line of lines) {
      const frame = line.slice(2);
      if (line.startsWith('→')) codec.decode(Buffer.from(frame), false);
      else LeanServerFrame.parse(JSON.parse(frame));
    }
  });

  it('names every frame type, error, reason and debug event', () => {
    const types = LeanServerFrame.options.map((option) => option.shape.type.value);
    for (const type of types) expect(lean).toContain(`"type":"${type}"`);
    for (const code of LeanErrorCode.options) expect(lean).toContain(`\`${code}\``);
    for (const name of [...LEAN_FINALIZE_REASONS, ...LEAN_DEBUG_EVENTS])
      expect(lean).toContain(`\`${name}\``);
  });
});
