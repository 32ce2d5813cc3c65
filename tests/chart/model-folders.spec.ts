import { describe, expect, it } from '@jest/globals';
import {
  at,
  type JsonObject,
  type KubernetesObject,
  listAt,
} from '../../scripts/chart/kubernetes-object.ts';
import { renderChart } from '../../scripts/chart/render.ts';
import { splitWords } from '../../services/asr-worker/src/gpu/shell-words.ts';

function vllmOf(pool: JsonObject) {
  const values = {
    auth: { existingSecret: 'keys' },
    redis: { url: 'redis://redis:6379' },
    pools: { main: pool },
  };
  const set = renderChart({ values }).find(({ kind }) => kind === 'StatefulSet');
  const [model, vllm] = ['model', 'vllm'].map((name) => container(set, name));
  return { model, vllm };
}

function container(object: KubernetesObject | undefined, name: string) {
  const found = listAt(object, 'spec', 'template', 'spec', 'initContainers').find(
    (one) => one['name'] === name,
  );
  const env = (variable: string) =>
    listAt(found, 'env').find((one) => one['name'] === variable)?.['value'];
  const models = listAt(found, 'volumeMounts').find((one) => one['name'] === 'models');
  return { env, readOnly: at(models, 'readOnly') };
}

describe('the folder of a model', () => {
  it('is another for each model and revision, as a download that is there is not asked for again', () => {
    const folders = [
      {},
      { revision: 'abc' },
      { revision: 'refs/pr/1' },
      { id: 'other/model', revision: 'abc' },
    ].map((model) => vllmOf({ model }).model?.env('VOXTRAL_MODEL_DIR'));
    expect(folders).toEqual([
      '/models/mistralai--Voxtral-Mini-4B-Realtime-2602@newest',
      '/models/mistralai--Voxtral-Mini-4B-Realtime-2602@abc',
      '/models/mistralai--Voxtral-Mini-4B-Realtime-2602@refs--pr--1',
      '/models/other--model@abc',
    ]);
  });

  it('is read where it was downloaded to, and written by nobody else: pools that share it have delays of their own', () => {
    const { model, vllm } = vllmOf({
      model: { revision: 'abc', cache: { kind: 'existingClaim', claimName: 'models' } },
    });
    expect(model?.env('VOXTRAL_SNAPSHOT_DIR')).toBeUndefined();
    expect(model?.env('VOXTRAL_MODEL_REVISION')).toBe('abc');
    expect(vllm?.env('VOXTRAL_SNAPSHOT_DIR')).toBe(model?.env('VOXTRAL_MODEL_DIR'));
    expect(vllm?.env('VOXTRAL_MODEL_DIR')).toBe('/scratch/model');
    expect(vllm?.readOnly).toBe(true);
    expect(model?.readOnly).toBeUndefined();
  });
});

it('flags of vLLM arrive as they are written, blanks and quotes too', () => {
  const extraArgs = ['--api-server-count', '2', '--override', '{"a": "it\'s $HOME"}', ''];
  const line = vllmOf({ vllm: { extraArgs } }).vllm?.env('VLLM_EXTRA_ARGS');
  expect(splitWords(String(line))).toEqual(extraArgs);
});
