import type { QueueCounts } from '@voice-fleet/jobs/job-queue';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { RUN_OUTCOMES, type RunEnd } from './run-outcome.ts';

const JOB_BUCKETS_S = [1, 5, 15, 60, 300, 900, 3600, 14_400];

/** Metrics of jobs. */
export class BatchMetrics {
  readonly runs: Counter<'outcome'>;
  readonly audioSeconds: Counter<'pool'>;
  /** Asked for when the page is; undefined: not known now. Default: this worker takes no jobs. */
  queueNow: () => Promise<QueueCounts | undefined> = () => Promise.resolve(undefined);
  readonly jobs: Gauge<'state'>;
  /** The same. */
  runningNow: () => number = () => 0;
  readonly waitSeconds: Histogram;
  readonly runSeconds: Histogram<'outcome'>;
  readonly stalled: Counter;

  constructor(registers: Registry[], pool: string) {
    this.runs = new Counter({
      name: 'voice_worker_batch_jobs_total',
      help: 'Runs of jobs by how they ended; lost: the job was cancelled, or another worker has it.',
      labelNames: ['outcome'],
      registers,
    });
    this.audioSeconds = new Counter({
      name: 'voice_worker_batch_audio_seconds_total',
      help: 'Audio of jobs that was transcribed.',
      labelNames: ['pool'],
      registers,
    });
    this.jobs = new Gauge({
      name: 'voice_batch_jobs',
      help: 'Jobs of the whole fleet that wait, are worked on, or are to be tried again; every worker tells the same.',
      labelNames: ['state'],
      registers,
      collect: async () => {
        for (const [state, count] of Object.entries((await this.queueNow()) ?? {}))
          this.jobs.labels(state).set(count);
      },
    });
    const running: Gauge = new Gauge({
      name: 'voice_worker_batch_jobs_running',
      help: 'Jobs that this worker does now.',
      registers,
      collect: () => running.set(this.runningNow()),
    });
    this.waitSeconds = new Histogram({
      name: 'voice_batch_job_wait_seconds',
      help: 'From the making of a job until a worker first begins it.',
      buckets: JOB_BUCKETS_S,
      registers,
    });
    this.runSeconds = new Histogram({
      name: 'voice_batch_job_duration_seconds',
      help: 'Length of runs of jobs by how they ended.',
      labelNames: ['outcome'],
      buckets: JOB_BUCKETS_S,
      registers,
    });
    this.stalled = new Counter({
      name: 'voice_batch_stalled_total',
      help: 'Jobs given back to the line as their worker was not heard of.',
      registers,
    });
    this.audioSeconds.labels(pool).inc(0);
    for (const outcome of RUN_OUTCOMES) {
      this.runs.labels(outcome).inc(0);
      this.runSeconds.zero({ outcome });
    }
  }

  countRun(outcome: RunEnd, tookMs: number): void {
    this.runs.labels(outcome).inc();
    this.runSeconds.labels(outcome).observe(tookMs / 1000);
  }
}
