import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { type ResourceLimits, Worker } from 'node:worker_threads';

/**
 * Starts the module `name` as a thread, which the caller owns. `besides`: `import.meta.url` of a module in its folder. From
 * sources the thread has to load tsx first, which its parent cannot do for it. A thread that needs more than `resourceLimits`
 * ends with an error.
 */
export function startThread(
  besides: string,
  name: string,
  workerData?: object,
  resourceLimits?: ResourceLimits,
): Worker {
  const data = { ...(workerData && { workerData }), ...(resourceLimits && { resourceLimits }) };
  if (!besides.endsWith('.ts')) return new Worker(new URL(`./${name}.js`, besides), data);
  const home = pathToFileURL(createRequire(import.meta.url).resolve('tsx/package.json'));
  const tsx = new URL('./dist/esm/api/index.mjs', home).href;
  const entry = new URL(`./${name}.ts`, besides).href;
  const code = `import('${tsx}').then(({ register }) => { register(); return import('${entry}'); });`;
  return new Worker(code, { eval: true, execArgv: ['--conditions=source'], ...data });
}
