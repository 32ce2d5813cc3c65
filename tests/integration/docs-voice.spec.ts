import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { orderFaults } from '@voice-fleet/client/voice-order';
import { PromptVoiceCodec } from '@voice-fleet/gateway/dialects/prompt-voice/codec';
import {
  MAX_VOICE_FRAME_BYTES,
  VOICE_CLIENT_TYPES,
  VoiceErrorCode,
  VoiceServerFrame,
} from '@voice-fleet/protocol/prompt-voice';

const ROOT = join(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/protocols/voice.md'), 'utf8');
const lines = page.split('\n').filter((line) => /^[←→] /.test(line));

describe('docs/protocols/voice.md', () => {
  it('shows a turn whose frames both sides accept, in the order of the protocol', () => {
    const codec = new PromptVoiceCodec();
    const frames: VoiceServerFrame[] = [];
    for (const line of lines) {
      const frame = line.slice(2);
      if (line.startsWith('→')) codec.decode(Buffer.from(frame), false);
      else frames.push(VoiceServerFrame.parse(JSON.parse(frame)));
    }
    const end = frames.findIndex(({ type }) => type === 'tts_complete') + 1;
    expect(end).toBeGreaterThan(10);
    expect(orderFaults(frames.slice(0, end))).toEqual([]);
    expect(orderFaults(frames.slice(end))).toEqual([]);
  });

  it('names every frame, every error and the size of a frame', () => {
    const types = ['protocol', 'info', 'partial_transcript', 'finalize_pending'];
    types.push('final_transcript', 'llm_token', 'tts_chunk', 'tts_phrase_done', 'tts_complete');
    types.push('text_chunk', 'metrics', 'pong', 'session.report', 'error');
    // All that there are: each option of the union is one, or several that share their type.
    expect(types).toHaveLength(VoiceServerFrame.options.length);
    for (const name of [...types, ...VOICE_CLIENT_TYPES, ...VoiceErrorCode.options]) {
      expect(page).toContain(`\`${name}\``);
    }
    expect(page).toContain(MAX_VOICE_FRAME_BYTES.toLocaleString('en-US'));
  });
});
