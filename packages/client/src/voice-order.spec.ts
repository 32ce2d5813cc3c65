import { describe, expect, it } from '@jest/globals';
import type { VoiceServerFrame } from '@voice-fleet/protocol/prompt-voice';
import { orderFaults } from './voice-order.ts';

const PROTOCOL: VoiceServerFrame = { type: 'protocol', version: 1 };
const partial = (text: string): VoiceServerFrame => ({ type: 'partial_transcript', text });
const PENDING: VoiceServerFrame = { type: 'finalize_pending', reason: 'explicit_stop' };
const final = (text: string, id = 'u1'): VoiceServerFrame => ({
  type: 'final_transcript',
  text,
  id,
});
const token = (text: string): VoiceServerFrame => ({ type: 'llm_token', text, done: false });
const DONE: VoiceServerFrame = { type: 'llm_token', done: true };
const chunk = (seq: number): VoiceServerFrame => ({
  type: 'tts_chunk',
  seq,
  audio_b64: '',
  mime: 'audio/wav',
});
const phraseDone = (seq: number): VoiceServerFrame => ({ type: 'tts_phrase_done', seq });
const COMPLETE: VoiceServerFrame = { type: 'tts_complete' };
const marks = (t1: number): VoiceServerFrame => ({
  type: 'metrics',
  event: 'latency',
  t0: 1,
  t1,
  t2: 3,
});
const CANCELLED: VoiceServerFrame = {
  type: 'error',
  code: 'CANCELLED',
  message: 'm',
  recoverable: true,
};

const HEARD = [PROTOCOL, partial('a'), partial('a b'), PENDING, final('a b')];
const ANSWERED = [token('c'), chunk(4), phraseDone(4), DONE, chunk(5), phraseDone(5), COMPLETE];

describe('orderFaults', () => {
  it.each<[string, VoiceServerFrame[]]>([
    ['a whole turn', [...HEARD, ...ANSWERED, marks(2)]],
    ['a transcript alone', HEARD],
    ['nothing understood', [PROTOCOL, PENDING, final(''), marks(2)]],
    ['a cancel', [...HEARD, token('c'), CANCELLED]],
    ['notices anywhere', [{ type: 'info', message: 'm' }, ...HEARD, { type: 'pong' }, ...ANSWERED]],
  ])('finds nothing wrong with %s', (_, frames) => {
    expect(orderFaults(frames)).toEqual([]);
  });

  it.each<[string, VoiceServerFrame[]]>([
    ['the first frame is partial_transcript, not protocol', HEARD.slice(1)],
    ['the first frame is missing, not protocol', []],
    ['no finalize_pending immediately before the final transcript', [PROTOCOL, final('a')]],
    ['the final transcript has no id', [PROTOCOL, PENDING, final('a', '')]],
    ['2 final transcripts', [...HEARD, final('a b')]],
    ['a partial after the final transcript', [...HEARD, partial('c')]],
    [
      'a partial that repeats the one before',
      [PROTOCOL, partial('a'), partial('a')].concat(HEARD.slice(3)),
    ],
    ['a token before the final transcript', [PROTOCOL, token('c'), PENDING, final('a')]],
    ['a token after the last one', [...HEARD, DONE, token('c')]],
    ['phrases numbered 0, 2', [...HEARD, token('c'), chunk(0), phraseDone(0), chunk(2)]],
    ['speech before any token', [...HEARD, chunk(0), token('c')]],
    ['phrase 0 was not done when the next one came', [...HEARD, token('c'), chunk(0), chunk(1)]],
    ['phrase 1 is done, but was not under way', [...HEARD, token('c'), chunk(0), phraseDone(1)]],
    ['phrase 0 was never done', [...HEARD, token('c'), DONE, chunk(0), COMPLETE]],
    ['2 times tts_complete', [...HEARD, ...ANSWERED, COMPLETE]],
    ['llm_token after tts_complete', [...HEARD, token('c'), COMPLETE, DONE]],
    ['2 times the latency marks', [...HEARD, marks(2), marks(2)]],
    ['latency marks that go back: 1, 4, 3', [...HEARD, marks(4)]],
    ['tts_chunk after the error that ended it', [...HEARD, token('c'), CANCELLED, chunk(0)]],
    ['llm_token after an empty transcript', [PROTOCOL, PENDING, final(' '), token('c')]],
  ])('finds: %s', (fault, frames) => {
    expect(orderFaults(frames)).toContain(fault);
  });
});
