import { JobStore } from '@voice-fleet/jobs/job-store';
import { JOB_IS_OVER, JOBS_PATH, type JobState } from '@voice-fleet/protocol/jobs';
import { writeWav } from '@voice-fleet/speech/wav';
import { range, SLOT_SAMPLES, speak } from '@voice-fleet/testkit/coded-speech';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { until } from '../../support/until.ts';
import { API_KEY, type ChaosFleet } from '../chaos-fleet.ts';
import { type Form, pick, type Scenario } from '../scenario.ts';
import { usage } from '../usage.ts';
import { WebhookReceiver } from '../webhook-receiver.ts';

const JOBS: Record<Form, number> = { short: 24, long: 200 };
/** 2.4 s. */
const WORDS = 6;
/** 66 s: two pieces. */
const LONG_WORDS = 165;
/** These come first, one of so many. */
const LONG_SHARE = 4;
const UPLOADS = 4;
const DONE_MS = 120_000;
/** Webhooks that fail the first time; each costs ten seconds. */
const REFUSE_ONE_IN: Record<Form, number> = { short: 0, long: 5 };

const Submitted = z.looseObject({ id: z.string() });

/** Workers die amid jobs: each result is what it would have been, is booked once, and told of once. */
export const batch: Scenario = {
  id: 'i',
  title: 'batch jobs',
  promise: 'jobs of killed workers end as undisturbed ones, are booked once, and told of once',
  shape: {
    short: { gateways: 2, workers: 4, slots: 10, leaseTtlS: 6 },
    long: { gateways: 2, workers: 4, slots: 10, leaseTtlS: 10 },
  },
  runs: { short: 1, long: 1 },
  async run({ fleet, trial, form, runs, random }) {
    const redis = new Redis(fleet.redis.url);
    await using receiver = await WebhookReceiver.open(fleet.webhookPort, REFUSE_ONE_IN[form]);
    try {
      const store = new JobStore(redis);
      const spoken = Array.from({ length: JOBS[form] }, (_, n) =>
        range(n + 1, n + (n < JOBS[form] / LONG_SHARE ? LONG_WORDS : WORDS)),
      );
      const recordings = spoken.map((words) => writeWav(speak(words), 16_000));
      const before = await usage(fleet);
      const undisturbed = await submitAll(fleet, recordings);
      await allOver(store, undisturbed);
      const met = new Set<string>();
      let disturbed: string[] = [];
      for (let run = 0; run < runs; run++) {
        const first = pick(random, [...fleet.workers.keys()]);
        const second = (first + 1) % fleet.workers.length;
        // What they take up they keep.
        for (const victim of [first, second]) fleet.tellVllm(victim, 'hang');
        const ids = await submitAll(fleet, recordings);
        disturbed = [...disturbed, ...ids];
        for (const victim of [first, second])
          await until(() => underWay(fleet, victim).length > 0, `worker ${victim} has a job`);
        for (const job of await kill(first)) met.add(job);
        // The other gets on with its jobs first, and dies with a piece of one done.
        fleet.tellVllm(second, 'resume');
        await until(
          async () => await anyHasPieces(store, underWay(fleet, second)),
          'a piece is done',
          DONE_MS,
        );
        for (const job of await kill(second)) met.add(job);
        fleet.tellVllm(first, 'resume');
        for (const victim of [first, second]) await fleet.workers[victim]?.start();
        await allOver(store, ids);
      }
      trial.note('jobs', undisturbed.length + disturbed.length);
      trial.note('jobs of killed workers', met.size);
      trial.expect(met.size > 0, 'workers are killed amid jobs');
      for (const [at, id] of disturbed.entries()) {
        const n = at % spoken.length;
        const [wanted, got] = await Promise.all(
          [undisturbed[n] ?? '', id].map(async (one) => ({
            state: await store.state(one),
            segments: await store.segments(one),
          })),
        );
        const isSame =
          wanted?.state === 'completed' && JSON.stringify(got) === JSON.stringify(wanted);
        trial.expect(
          isSame,
          `job ${n} ends as undisturbed, not ${JSON.stringify(got).slice(0, 300)}`,
        );
        const text = wanted?.segments
          .flatMap(({ words }) => words.map((word) => word.text))
          .join('');
        const said = spoken[n]?.map((word) => `w${word}`).join(' ');
        trial.expect(text === said, `job ${n} has every word once, not ${text}`);
      }
      const all = [...undisturbed, ...disturbed];
      await until(
        () => all.every((id) => receiver.acknowledged.has(id)),
        'all are told of',
        DONE_MS,
      );
      trial.note('webhooks sent again', receiver.refused);
      const twice = [...receiver.acknowledged.values()].filter((times) => times !== 1).length;
      trial.expect(
        twice === 0 && receiver.acknowledged.size === all.length,
        `each job is told of once, not ${twice} of ${receiver.acknowledged.size} more often`,
      );
      trial.expect(receiver.forged === 0, `each webhook is signed, but ${receiver.forged} are not`);
      const after = await usage(fleet);
      const samples = spoken.reduce((sum, words) => sum + words.length * SLOT_SAMPLES, 0);
      const billed = after.samples - before.samples;
      trial.expect(
        billed === samples * (runs + 1),
        `${samples * (runs + 1)} samples are booked, not ${billed}`,
      );
      const booked = after.sessions - before.sessions;
      trial.expect(
        booked === undisturbed.length + disturbed.length,
        `each job is booked once, not ${booked} of ${undisturbed.length + disturbed.length}`,
      );
    } finally {
      redis.disconnect();
    }

    /** Returns the jobs that it had. */
    async function kill(victim: number): Promise<string[]> {
      const jobs = underWay(fleet, victim);
      trial.fault(`worker ${victim} killed with ${jobs.length} jobs`);
      await fleet.workers[victim]?.end('SIGKILL');
      return jobs;
    }
  },
};

/** Their ids, in order. */
async function submitAll(fleet: ChaosFleet, recordings: readonly Buffer[]): Promise<string[]> {
  const ids: string[] = [];
  const rest = [...recordings.entries()];
  const submit = async (): Promise<void> => {
    for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
      const [n, recording] = next;
      const body = new FormData();
      body.append('webhook_url', `http://127.0.0.1:${fleet.webhookPort}/told`);
      body.append('file', new Blob([new Uint8Array(recording)]), 'recording.wav');
      const { host } = fleet.urls[n % fleet.urls.length] as URL;
      const headers = { 'X-API-Key': API_KEY };
      const response = await fetch(`http://${host}${JOBS_PATH}`, { method: 'POST', body, headers });
      if (!response.ok) throw new Error(`a job is answered with ${response.status}`);
      ids[n] = Submitted.parse(await response.json()).id;
    }
  };
  await Promise.all(Array.from({ length: UPLOADS }, submit));
  return ids;
}

async function allOver(store: JobStore, ids: readonly string[]): Promise<void> {
  const isOver = (state: JobState | undefined) => state !== undefined && JOB_IS_OVER[state];
  for (const id of ids)
    await until(async () => isOver(await store.state(id)), `job ${id} is over`, DONE_MS);
}

async function anyHasPieces(store: JobStore, ids: readonly string[]): Promise<boolean> {
  const pieces = await Promise.all(ids.map((id) => store.segments(id)));
  return pieces.some(({ length }) => length > 0) || ids.length === 0;
}

/** Jobs that the process of a worker has begun and not let go of, by what it logged. */
function underWay(fleet: ChaosFleet, worker: number): string[] {
  const jobs = new Set<string>();
  for (const { event, job } of fleet.workers[worker]?.process.lines ?? []) {
    if (event === 'job_begun') jobs.add(String(job));
    else if (event === 'job_ended' || event === 'job_given_back') jobs.delete(String(job));
  }
  return [...jobs];
}
