import { basename } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { samples } from '../../scripts/chart/matrix.ts';
import { renderNotes } from '../../scripts/chart/render.ts';

describe('what people are told after an installation', () => {
  it.each(samples().map((path) => [basename(path), path] as const))(
    'with %s is as written down',
    (_name, path) => {
      expect(renderNotes({ values: path, set: ['crdChecks=false'] }).trim()).toMatchSnapshot();
    },
  );

  it('names no secret, only where it is', () => {
    for (const path of samples()) {
      const notes = renderNotes({ values: path, set: ['crdChecks=false'] });
      expect(notes).toMatch(/get secret \S+|admin API/);
      expect(notes).not.toMatch(/\b(password|token)\s*[:=]/i);
    }
  });

  it('warns of each thing that is only for trials', () => {
    const base = { auth: { existingSecret: 'keys' }, pools: { cpu: { engine: 'pocketsphinx' } } };
    const warned = renderNotes({
      values: {
        ...base,
        redis: { embedded: { enabled: true } },
        gateway: { replicas: 1, pdb: { enabled: false } },
        networkPolicy: { enabled: false },
      },
    });
    for (const word of [
      'No TLS',
      'Redis is the one for trials',
      'One gateway',
      'gateway.pdb is off',
      'networkPolicy is off',
      'Pool cpu',
    ]) {
      expect(warned).toContain(word);
    }
    const autoscaling = { enabled: true, prometheusAddress: 'http://p:9090' };
    const blind = renderNotes({
      values: {
        ...base,
        redis: { url: 'redis://r' },
        crdChecks: false,
        pools: { l40s: { slotsPerPod: 32, autoscaling } },
      },
    });
    expect(blind).toContain('Pool l40s is scaled by metrics with the label `fleet`');
    const calm = renderNotes({
      values: {
        ...base,
        redis: { existingSecret: { name: 'redis' } },
        pools: { l40s: { model: { revision: 'abc' } } },
        gateway: { tls: { existingSecret: 'tls' } },
      },
    });
    expect(calm).not.toContain('Mind:');
  });
});
