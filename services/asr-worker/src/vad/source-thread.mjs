// Begins a worker thread whose file is TypeScript: hooks of the process that starts it do not reach into it. Not in builds.
import { workerData } from 'node:worker_threads';
// biome-ignore lint/correctness/noUndeclaredDependencies: of the whole project, and only where its source is run.
import { register } from 'tsx/esm/api';

register();
await import(workerData.entry);
