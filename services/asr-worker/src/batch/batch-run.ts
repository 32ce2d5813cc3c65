import type { UsageLedger } from '@voice-fleet/fleet/sessions/usage-ledger';
import type { BlobStore } from '@voice-fleet/jobs/blobs/blob-store';
import type { JobRecord, JobSegment } from '@voice-fleet/jobs/job';
import type { JobError, JobStore } from '@voice-fleet/jobs/job-store';
import { decodeRecording } from '@voice-fleet/media/decode-recording';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { JobState } from '@voice-fleet/protocol/jobs';
import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';
import { pieceEnd } from '@voice-fleet/speech/piece-end';
import { spaced } from '@voice-fleet/speech/words';
import type { BatchSettings } from './batch-env.ts';
import type { RunOutcome } from './run-outcome.ts';
import { type PieceDeps, transcribePiece } from './transcribe-piece.ts';

export interface BatchRunDeps extends PieceDeps {
  readonly store: JobStore;
  readonly blobs: BlobStore;
  readonly ledger: UsageLedger;
  readonly batch: BatchSettings;
  readonly onPiece: (samples: number) => void;
}

type EndState = Exclude<JobState, 'queued' | 'running'>;

/** A recording that will never be transcribed, however often it is tried. */
class Hopeless extends Error {
  readonly error: JobError;

  constructor({ code, message }: VoiceError) {
    super(message);
    this.error = { code, message };
  }
}

/** Does a job to its end, from its last finished segment on. Rejects with the signal's reason, or with what may be tried again. */
export async function runJob(
  job: JobRecord,
  run: string,
  deps: BatchRunDeps,
  signal: AbortSignal,
): Promise<RunOutcome> {
  const { store, ledger, clock, batch } = deps;
  const begun = await store.begin(job.id, run, clock.wallNow(), batch.maxAttempts);
  const end = async (state: EndState, error?: JobError): Promise<RunOutcome> => {
    const nowMs = clock.wallNow();
    const ended = await store.end(job, state, { runner: run, nowMs, ...(error && { error }) });
    return ended ? state : 'lost';
  };
  if (begun.kind === 'exhausted') {
    const { code, message } = new VoiceError('job_quarantined');
    return await end('quarantined', { code, message });
  }
  if (begun.kind !== 'begun') return 'lost';
  try {
    const pcm = await readAudio(job, deps, signal);
    const samples = pcm.length / BYTES_PER_SAMPLE;
    if (!(await transcribeRest(job, run, pcm, deps, signal))) return 'lost';
    // Booked before it is over, since booking it again changes nothing.
    const { id: sessionId, tenantId, keyId } = job;
    await ledger.charge([{ sessionId, tenantId, keyId, acceptedSamples: samples }]);
    return await end('completed');
  } catch (error) {
    if (error instanceof Hopeless) return await end('failed', error.error);
    throw error;
  }
}

/** Whole samples; throws Hopeless for what is no recording. */
async function readAudio(
  job: JobRecord,
  { blobs, batch }: BatchRunDeps,
  signal: AbortSignal,
): Promise<Buffer> {
  const bytes = await blobs.read(job.audioKey, signal);
  if (bytes === undefined)
    throw new Hopeless(
      new VoiceError('missing_audio', { message: 'The recording is not there any more.' }),
    );
  try {
    const pcm = await decodeRecording(bytes, batch.decode, signal);
    return pcm.subarray(0, pcm.length - (pcm.length % BYTES_PER_SAMPLE));
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof VoiceError) || error.code === 'cancelled') throw error;
    throw new Hopeless(error);
  }
}

/** False: the run has lost the job. */
async function transcribeRest(
  job: JobRecord,
  run: string,
  pcm: Buffer,
  deps: BatchRunDeps,
  signal: AbortSignal,
): Promise<boolean> {
  const done = await deps.store.segments(job.id);
  let last: JobSegment | undefined = done.at(-1);
  let before = lastText(done);
  const samples = pcm.length / BYTES_PER_SAMPLE;
  for (let index = done.length; (last?.toSample ?? 0) < samples; index += 1) {
    const fromSample = last?.toSample ?? 0;
    const toSample = pieceEnd(pcm, fromSample);
    const audio = pcm.subarray(fromSample * BYTES_PER_SAMPLE, toSample * BYTES_PER_SAMPLE);
    const piece = { jobId: job.id, index, fromSample, pcm: audio };
    const heard = await transcribePiece(piece, deps, signal);
    const words = heard.map(({ text, startSample, endSample, confidence }, at) => ({
      text: at === 0 ? spaced(before, text) : text,
      startSample: Math.max(0, Math.round(startSample)),
      endSample: Math.max(0, Math.round(endSample)),
      ...(confidence !== undefined && { confidence }),
    }));
    last = { index, fromSample, toSample, words };
    if (!(await deps.store.append(job.id, run, last, samples))) return false;
    deps.onPiece(toSample - fromSample);
    before = words.at(-1)?.text ?? before;
  }
  return true;
}

function lastText(segments: readonly JobSegment[]): string {
  return segments.flatMap(({ words }) => words).at(-1)?.text ?? '';
}
