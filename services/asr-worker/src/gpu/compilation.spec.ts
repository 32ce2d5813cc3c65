import { describe, expect, it } from '@jest/globals';
import { parseCompilation, planCompilation } from './compilation.ts';

describe('the compilation config', () => {
  it.each(['PIECEWISE', 'NONE', 'piecewise'])('is passed on with mode %s', (mode) => {
    const asked = { cudagraph_mode: mode, level: 3 };
    expect(planCompilation(asked, false)).toEqual({ config: asked, eager: false, notes: [] });
  });

  it.each(['FULL', 'FULL_DECODE_ONLY', 'FULL_AND_PIECEWISE', 'full', 2])(
    'is made PIECEWISE where it asks for %s, with the reason',
    (mode) => {
      const { config, notes } = planCompilation({ cudagraph_mode: mode, level: 3 }, false);
      expect(config).toEqual({ cudagraph_mode: 'PIECEWISE', level: 3 });
      expect(notes).toEqual([expect.stringContaining('aborts')]);
    },
  );

  it('loses the old switch for full graphs', () => {
    const asked = { full_cuda_graph: true, cudagraph_mode: 'PIECEWISE' };
    const { config, notes } = planCompilation(asked, false);
    expect(config).toEqual({ cudagraph_mode: 'PIECEWISE' });
    expect(notes).toEqual([expect.stringContaining('full_cuda_graph')]);
  });

  it('gets PIECEWISE where it names no mode, since vLLM would take full graphs', () => {
    expect(planCompilation({ level: 3 }, false)).toEqual({
      config: { level: 3, cudagraph_mode: 'PIECEWISE' },
      eager: false,
      notes: [],
    });
  });

  it('may be null: then there are no graphs at all', () => {
    const { config, eager, notes } = planCompilation(parseCompilation('null'), false);
    expect({ config, eager }).toEqual({ config: undefined, eager: true });
    expect(notes).toEqual([expect.stringContaining('--enforce-eager')]);
  });

  it('is left out where graphs are switched off', () => {
    const asked = { cudagraph_mode: 'FULL' };
    expect(planCompilation(asked, true)).toEqual({ config: undefined, eager: true, notes: [] });
  });

  it.each(['PIECEWISE', '[]', '3', '"x"', '{'])('is refused as %s', (text) => {
    expect(() => parseCompilation(text)).toThrow('must be a JSON object or null');
  });
});
