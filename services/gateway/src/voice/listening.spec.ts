import { describe, expect, it } from '@jest/globals';
import { newTotals } from '../session/session-deps.ts';
import { Capture } from './capture.ts';
import { HeldAudio } from './held-audio.ts';
import { Listening, type VoiceSession } from './listening.ts';

describe('audio that nobody can hear yet', () => {
  it('takes little memory however small its pieces are', () => {
    const held = new HeldAudio();
    for (let n = 0; n < 50_000; n += 1) held.push(Buffer.from([n & 255, n >> 8]));
    for (let n = 0; n < 1000; n += 1) held.push(Buffer.alloc(0));
    const parts = held.take();
    expect(parts.length).toBeLessThan(10);
    const all = Buffer.concat(parts);
    expect(all.length).toBe(100_000);
    expect(all.readUInt16LE(2 * 49_999)).toBe(49_999);
    expect(held.empty).toBe(true);
  });

  it('lets the oldest go beyond 10 s, and is empty once cleared', () => {
    const held = new HeldAudio();
    for (let n = 0; n < 150; n += 1) held.push(Buffer.alloc(3200, n));
    const all = Buffer.concat(held.take());
    expect(all.length).toBe(320_000);
    expect([all[0], all.at(-1)]).toEqual([50, 149]);
    held.push(Buffer.alloc(2));
    held.clear();
    expect(held.empty).toBe(true);
    expect(held.take()).toEqual([]);
  });
});

describe('listening amid a reply', () => {
  it('keeps for a model that hears it no more than a speaker may have begun in', () => {
    const session: VoiceSession = {
      id: 's',
      totals: newTotals(),
      apply: () => undefined,
      perform: () => undefined,
      finish: () => undefined,
      drop: () => undefined,
    };
    const next = new Capture('s.1', { mode: 'chat', endpointing: true }, 1000);
    const listening = new Listening(session, {
      silenceMs: 700,
      newCapture: () => next,
      onOpened: () => undefined,
    });
    for (let n = 0; n < 6000; n += 1)
      listening.hear({ kind: 'audio', utteranceId: undefined, pcm: Buffer.alloc(3200, n % 251) });
    const kept = next.audio.reduce((sum, { length }) => sum + length, 0);
    expect(kept).toBeGreaterThanOrEqual(60 * 32_000);
    expect(kept).toBeLessThanOrEqual(120 * 32_000 + 3200);
    expect(next.audio.at(-1)?.[0]).toBe(5999 % 251);
  });
});
