import { beforeEach, describe, expect, it } from '@jest/globals';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import { parseEnv } from '@voice-fleet/runtime/env';
import { modelEnv } from '@voice-fleet/runtime/model-env';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { z } from 'zod';
import { ModelCatalogue } from './model-catalogue.ts';

const VOXTRAL = 'mistralai/Voxtral-Mini-4B-Realtime-2602';

describe('ModelCatalogue', () => {
  let clock: FakeClock;
  let served: readonly string[] | Error;
  let asked: number;
  let catalogue: ModelCatalogue;

  beforeEach(() => {
    clock = new FakeClock();
    served = ['pocketsphinx', VOXTRAL];
    asked = 0;
    catalogue = new ModelCatalogue({
      clock,
      aliases: new Map([
        ['house-ears', VOXTRAL],
        ['old-ears', 'gone'],
      ]),
      served: async () => {
        asked += 1;
        if (served instanceof Error) throw served;
        return served;
      },
    });
  });

  it.each([
    [undefined, undefined],
    ['pocketsphinx', 'pocketsphinx'],
    [VOXTRAL, VOXTRAL],
    ['house-ears', VOXTRAL],
    ['whisper-1', undefined],
    ['nova-3', undefined],
  ])('takes %s for %s', async (requested, meant) => {
    expect(await catalogue.resolve(requested)).toBe(meant);
  });

  it.each(['no-such-model', 'old-ears', ''])('refuses %j', async (requested) => {
    await expect(catalogue.resolve(requested)).rejects.toMatchObject({
      code: 'model_not_found',
      status: 404,
    });
  });

  it('lists what is served, and the aliases that lead there', async () => {
    expect(await catalogue.names()).toEqual([VOXTRAL, 'pocketsphinx', 'house-ears']);
  });

  it('refuses no name as long as there is no worker: that is told instead', async () => {
    served = [];
    expect(await catalogue.resolve('no-such-model')).toBeUndefined();
  });

  describe('of a tenant', () => {
    const tenant = (models: string[] = [], aliases: Record<string, string> = {}) => ({
      models,
      aliases,
    });

    it.each([
      ['own-ears', 'pocketsphinx'],
      ['house-ears', 'pocketsphinx'],
      [VOXTRAL, VOXTRAL],
      ['whisper-1', VOXTRAL],
      ['nova-3', undefined],
      [undefined, undefined],
    ])('takes %s for %s, its own names first', async (requested, meant) => {
      const aliases = {
        'own-ears': 'pocketsphinx',
        'house-ears': 'pocketsphinx',
        'whisper-1': VOXTRAL,
      };
      expect(await catalogue.resolve(requested, tenant([], aliases))).toBe(meant);
      expect(catalogue.meant(requested, tenant([], aliases))).toBe(meant);
    });

    it('knows no name of another tenant, nor what every object has', async () => {
      for (const name of ['own-ears', 'constructor', '__proto__'])
        await expect(catalogue.resolve(name, tenant())).rejects.toMatchObject({
          code: 'model_not_found',
        });
    });

    it('lists them under its names', async () => {
      const own = tenant([], {
        'own-ears': 'pocketsphinx',
        'house-ears': 'gone',
        pocketsphinx: VOXTRAL,
      });
      expect(await catalogue.names(own)).toEqual([VOXTRAL, 'pocketsphinx', 'own-ears']);
    });

    it('keeps it to the models it may use, of which the first that is served is meant by no name', async () => {
      served = ['pocketsphinx', VOXTRAL, 'third'];
      const kept = tenant(['gone', 'third', VOXTRAL]);
      expect(await catalogue.names(kept)).toEqual([VOXTRAL, 'third', 'house-ears']);
      expect(await catalogue.resolve(undefined, kept)).toBe('third');
      expect(await catalogue.resolve('whisper-1', kept)).toBe('third');
      expect(await catalogue.resolve('house-ears', kept)).toBe(VOXTRAL);
      await expect(catalogue.resolve('pocketsphinx', kept)).rejects.toMatchObject({
        details: { requested: 'pocketsphinx', served: `third, ${VOXTRAL}` },
      });
      await expect(catalogue.resolve(undefined, tenant(['gone']))).rejects.toMatchObject({
        code: 'model_not_found',
      });
    });
  });

  it('asks once for all who come at a time, and again when that is old', async () => {
    await Promise.all([catalogue.names(), catalogue.resolve('whisper-1'), catalogue.names()]);
    expect(asked).toBe(1);
    served = ['new'];
    clock.advance(1_999);
    expect(await catalogue.names()).toContain('pocketsphinx');
    clock.advance(1);
    expect(await catalogue.names()).toEqual(['new']);
  });

  it('believes what it saw last while Redis is away', async () => {
    await catalogue.names();
    served = new RedisUnavailable('gone');
    clock.advance(5_000);
    expect(await catalogue.resolve('pocketsphinx')).toBe('pocketsphinx');
  });
});

it('reads aliases as a JSON object of names, and says what is wrong with others', () => {
  const schema = z.object(modelEnv);
  const read = (text: string) => parseEnv(schema, { MODEL_ALIASES: text }).MODEL_ALIASES;
  expect([...read('{"a": "b"}')]).toEqual([['a', 'b']]);
  expect([...read('')]).toEqual([]);
  for (const wrong of ['a=b', '["a"]', '{"a": 1}', '{"": "b"}'])
    expect(() => read(wrong)).toThrow('MODEL_ALIASES must be a JSON object');
});
