import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { SessionEvent } from '@voice-fleet/protocol/session';
import { writeWav } from '@voice-fleet/speech/wav';
import { OpenAiCodec } from './codec.ts';

const PAGE = join(import.meta.dirname, '../../../../../docs/protocols/openai-agents.md');
const lines = readFileSync(PAGE, 'utf8')
  .split('\n')
  .filter((line) => /^[←→] \{/.test(line));

type Frame = Readonly<Record<string, unknown>>;

const utteranceId = 'utt_1';
const session = { id: 'sess_1', model: 'served', createdAtS: 1 };
const audio = writeWav(Buffer.alloc(9_600), 24_000).toString('base64');
const reply = { replyId: 'resp_1', itemId: 'item_1' };

/** What the session tells in the conversation of the page. */
const EVENTS: readonly SessionEvent[] = [
  { kind: 'created', session },
  { kind: 'listening', session, options: {} },
  { kind: 'listening', session, options: {} },
  { kind: 'speech-began', utteranceId, sample: 5_120 },
  {
    kind: 'heard',
    utteranceId,
    words: [{ text: ' how are you', startSample: 0, endSample: 1 }],
    tail: '',
  },
  { kind: 'speech-ended', utteranceId, sample: 22_400 },
  { kind: 'committed', utteranceId, fromSample: 0, toSample: 32_000, cause: 'endpoint' },
  {
    kind: 'transcribed',
    utteranceId,
    text: 'how are you',
    words: [],
    usage: { promptTokens: 1, completionTokens: 1 },
  },
  { kind: 'reply-began', ...reply, afterId: utteranceId, speak: true },
  { kind: 'token', utteranceId: 'resp_1', text: 'Very well.', done: false },
  { kind: 'speech', utteranceId: 'resp_1', seq: 0, audio, durationMs: 200 },
  { kind: 'speech-began', utteranceId: 'utt_2', sample: 40_000 },
  { kind: 'reply-ended', ...reply, text: 'Very well.', outcome: 'interrupted' },
  { kind: 'item-truncated', itemId: 'item_1', audioMs: 400 },
  {
    kind: 'item',
    item: { id: 'item_1', role: 'assistant', text: 'Very', spoken: true, complete: false },
  },
];

describe('docs/protocols/openai-agents.md', () => {
  it('shows a conversation as both sides have it', () => {
    const codec = new OpenAiCodec({ model: undefined, transcribes: false });
    for (const line of lines) if (line.startsWith('→')) codec.decode(Buffer.from(line.slice(2)));
    const told = EVENTS.flatMap((event) => codec.encode(event)).map(
      (frame) => JSON.parse(frame) as Frame,
    );
    const shown = lines
      .filter((line) => line.startsWith('←'))
      .map((line) => JSON.parse(line.slice(2)) as Frame);
    expect(told.map(({ type }) => type)).toEqual(shown.map(({ type }) => type));
    for (const [index, frame] of shown.entries()) {
      // Of its audio only the beginning is shown.
      const { delta, ...fields } = frame;
      const clipped = typeof delta === 'string' && delta.endsWith('…');
      expect(told[index]).toMatchObject(clipped ? fields : frame);
    }
  });
});
