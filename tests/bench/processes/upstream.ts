import { LINK_ACK_INTERVAL_MS } from '@voice-fleet/protocol/link';
import { WORDS_PER_SECOND } from '../frames.ts';
import { UpstreamJob } from '../messages.ts';
import { startPacer } from './pacer.ts';
import { serveParent, tell } from './parent.ts';
import { startPlainServer } from './plain-server.ts';
import { startStandInWorker } from './stand-in-worker.ts';

/** The far end of whatever is measured: counts and times the frames that arrive, and keeps words coming. */
let agesMs: number[] = [];
const onFrame = (ageMs: number): void => void agesMs.push(ageMs);

const job = UpstreamJob.parse(JSON.parse(process.argv[2] ?? ''));
serveParent((request) => {
  const sorted = Float64Array.from(agesMs).sort();
  agesMs = [];
  if (request === 'reset') return { kind: 'reset' };
  const quantile = (q: number): number => sorted[Math.floor(q * (sorted.length - 1))] ?? 0;
  return {
    kind: 'upstream-report',
    frames: sorted.length,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
  };
});

const { port, sessions } =
  job.kind === 'plain' ? await startPlainServer(onFrame) : await startStandInWorker(job, onFrame);
startPacer(1000 / WORDS_PER_SECOND, job.sessions, (slot) => sessions[slot]?.sendWord());
if (job.kind === 'link')
  startPacer(LINK_ACK_INTERVAL_MS, job.sessions, (slot) => sessions[slot]?.sendAck());
tell({ kind: 'ready', port });
