import { describe, expect, it } from '@jest/globals';
import { ScriptedEngine } from '../../../../tests/support/scripted-engine.ts';
import { EngineRegistry, type Provider } from './registry.ts';

function provider(name: string, reason?: string): Provider {
  const { capabilities } = new ScriptedEngine();
  return {
    name,
    capabilities,
    availability: () => (reason ? { available: false, reason } : { available: true }),
    create: () => new ScriptedEngine(),
  };
}

describe('EngineRegistry', () => {
  const registry = new EngineRegistry([provider('one'), provider('two', 'no binary at /x')]);

  it('E17: lists each engine with its capabilities, and why one cannot run', () => {
    expect(registry.list()).toEqual([
      expect.objectContaining({ name: 'one', available: true, loaded: false, streaming: true }),
      expect.objectContaining({ name: 'two', available: false, reason: 'no binary at /x' }),
    ]);
  });

  it('E17: gives the same instance each time, until it is evicted', async () => {
    const first = registry.get('one');
    expect(registry.get('one')).toBe(first);
    expect(registry.list()[0]?.loaded).toBe(true);
    await registry.evict('one');
    expect(registry.list()[0]?.loaded).toBe(false);
    expect(registry.get('one')).not.toBe(first);
  });

  it('says which engines there are when asked for another', () => {
    expect(() => registry.get('three')).toThrow('no engine "three": there are one,two');
  });
});
