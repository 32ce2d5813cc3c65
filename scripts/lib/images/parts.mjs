import { join } from 'node:path';
import { repoRoot } from '../paths.mjs';

const file = (name) => join(repoRoot, 'docker', `${name}.Dockerfile`);

/** Every image: how it is built, and for a service where it says that it lives. */
export const IMAGES = {
  'llm-tts': { file: file('node'), args: { SERVICE: 'llm-tts' }, serves: true },
  'asr-worker': { file: file('node'), args: { SERVICE: 'asr-worker' }, serves: true },
  gateway: { file: file('node'), args: { SERVICE: 'gateway' }, serves: true },
  clients: { file: file('clients'), args: {} },
  vllm: { file: file('vllm'), args: {} },
};

/** Those that are built when none is named. */
export const USUAL = ['llm-tts', 'asr-worker', 'gateway', 'clients'];

/**
 * What of the images cannot be tried here, each with the reason; the rest can. `has` tells of programs on PATH.
 * @returns {Record<string, string>}
 */
export function skips(names, { platform, root, has, pull, cannotMakeBase }) {
  const all = (reason) => Object.fromEntries(names.map((name) => [name, reason]));
  if (platform !== 'linux') return all('images are of Linux');
  if (!has('buildah')) return all('buildah is not there (apt-get install buildah)');
  if (!has('unshare')) return all('unshare is not there (apt-get install util-linux)');
  if (!root) return all('only root may mount what an image holds');
  const reason = pull ? undefined : cannotMakeBase(has);
  if (reason) return all(reason);
  const noCuda =
    'nothing stands in for its base, nvidia/cuda (--service vllm --pull takes 10 GB and more)';
  return names.includes('vllm') && !pull ? { vllm: noCuda } : {};
}
