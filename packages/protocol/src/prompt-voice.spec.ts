import { describe, expect, it } from '@jest/globals';
import { VoiceClientFrame, VoiceServerFrame } from './prompt-voice.ts';

describe('frames of the voice protocol', () => {
  it.each([
    { type: 'protocol', version: 1 },
    { type: 'llm_token', text: 'a', done: false },
    { type: 'llm_token', done: true },
    { type: 'metrics', event: 'latency', t0: 1, d_first_audio: 2 },
    { type: 'metrics', event: 'decode', runs: 1, ms: 2 },
    { type: 'error', code: 'ASR_FAIL', message: 'm', recoverable: true },
  ])('reads what a server sends: %j', (frame) => {
    expect(VoiceServerFrame.parse(frame)).toEqual(frame);
  });

  it.each([
    { type: 'llm_token', text: 'a', done: true },
    { type: 'llm_token', done: false },
    { type: 'metrics', event: 'latency', runs: 1 },
    { type: 'metrics', event: 'other' },
    { type: 'hello' },
  ])('reads nothing else: %j', (frame) => {
    expect(VoiceServerFrame.safeParse(frame).success).toBe(false);
  });

  it('reads what a client sends', () => {
    expect(VoiceClientFrame.parse({ type: 'start' })).toEqual({ type: 'start' });
    expect(VoiceClientFrame.safeParse({ type: 'start', mode: 'sing' }).success).toBe(false);
  });
});
