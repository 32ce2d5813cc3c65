// No SDK knows these endpoints: a whole recording as a batch job, with what Node has.
import { setTimeout as sleep } from 'node:timers/promises';
import { options, report, wav } from './lib.mjs';

const headers = { Authorization: `Bearer ${options.key}` };
const ask = async (path, init = {}) => {
  const response = await fetch(new URL(path, options.url), {
    ...init,
    headers: { ...headers, ...init.headers },
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response;
};

const submit = async () => {
  const body = new FormData();
  body.set('file', new Blob([wav]), 'recording.wav');
  const init = { method: 'POST', body, headers: { 'Idempotency-Key': 'interop' } };
  return (await ask('/v1/jobs', init)).json();
};

const [{ id }, again] = [await submit(), await submit()];
let job;
do {
  await sleep(200);
  job = await (await ask(`/v1/jobs/${id}`)).json();
} while (job.ended_at_ms === null);
report({
  text: await (await ask(`/v1/jobs/${id}/result?format=text`)).text(),
  state: job.state,
  progress: job.progress,
  isOneJob: again.id === id,
});
