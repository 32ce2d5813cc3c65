import { describe, expect, it } from '@jest/globals';
import { rmsDbfs, SILENCE_DBFS } from './level.ts';

function square(amplitude: number): Buffer {
  const pcm = Buffer.alloc(320);
  for (let at = 0; at < pcm.length; at += 2) pcm.writeInt16LE(at % 4 ? amplitude : -amplitude, at);
  return pcm;
}

describe('rmsDbfs', () => {
  it('puts full scale at zero', () => {
    expect(rmsDbfs(square(32_767))).toBeCloseTo(0, 3);
  });

  it('loses 20 dB for a tenth of the amplitude', () => {
    expect(rmsDbfs(square(3_277))).toBeCloseTo(-20, 2);
  });

  it('stays finite for silence and for no audio', () => {
    expect(rmsDbfs(Buffer.alloc(320))).toBe(SILENCE_DBFS);
    expect(rmsDbfs(Buffer.alloc(1))).toBe(SILENCE_DBFS);
  });

  it('reads views at odd offsets', () => {
    const pcm = square(3_277);
    const view = Buffer.concat([Buffer.alloc(1), pcm]).subarray(1);
    expect(rmsDbfs(view)).toBe(rmsDbfs(pcm));
  });
});
