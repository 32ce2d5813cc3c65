import { type Clock, sleep } from '@voice-fleet/runtime/clock';
import { CHUNK_BYTES, durationS } from '../audio-source.ts';
import type { YapContinuity } from '../continuity.ts';
import { keepEncoded } from '../encoded-audio.ts';
import { sessionTimeoutMs, type UtteranceMetrics, utteranceMetrics } from '../marks.ts';
import { continuityOf, type OpenOptions, openSession } from '../transcribe.ts';
import type { YapUtterance } from '../yap-utterance.ts';
import type { SpeechPace } from './speech-pace.ts';

/** A recording as all sessions send it: they share its frames, in the form in which these go out. */
export interface LoadRecording {
  readonly name: string;
  readonly audioS: number;
  readonly frames: readonly Buffer[];
  /** What is said in it, where that is known. */
  readonly reference: string | undefined;
}

export interface LoadUtterance {
  readonly metrics: UtteranceMetrics;
  readonly transcript: string;
  readonly droppedS: number;
}

export interface LoadSessionOptions extends OpenOptions {
  readonly clock: Clock;
  readonly pace: SpeechPace;
  readonly speed: number;
  readonly recording: LoadRecording;
  readonly utterances: number | 'until-end';
  readonly thinkMs: number;
  /** Once it aborts, no other utterance is begun. */
  readonly ending: AbortSignal;
  /** Dial → `session.created`. */
  readonly onAdmitted: (ms: number) => void;
  readonly onUtterance: (utterance: LoadUtterance) => void;
}

/** What a resumable session went through. However it fails, the socket is closed. */
export async function loadSession(options: LoadSessionOptions): Promise<YapContinuity | undefined> {
  const { ending, utterances, thinkMs, clock } = options;
  const client = await openSession(options);
  try {
    const { dialMs, createdMs = dialMs } = client.marks;
    options.onAdmitted(createdMs - dialMs);
    const limit = utterances === 'until-end' ? Number.POSITIVE_INFINITY : utterances;
    for (let spoken = 0; spoken < limit && !(spoken > 0 && ending.aborted); spoken++) {
      if (spoken > 0 && !(await paused(clock, thinkMs, ending))) break;
      options.onUtterance(await utter(client.utterance(), options));
    }
    await client.end();
    return continuityOf(client);
  } finally {
    await client.close();
  }
}

/** False when the test ends meanwhile. */
async function paused(clock: Clock, ms: number, ending: AbortSignal): Promise<boolean> {
  if (ms === 0) return true;
  try {
    await sleep(clock, ms, ending);
    return true;
  } catch {
    return false;
  }
}

async function utter(
  utterance: YapUtterance,
  { pace, recording, speed }: LoadSessionOptions,
): Promise<LoadUtterance> {
  await pace.speak(recording.frames, (frame) => utterance.append(frame), utterance.failed);
  utterance.finalize();
  const { audioS } = recording;
  const { finalText, droppedS, marks } = await utterance.result(sessionTimeoutMs(audioS / speed));
  const metrics = utteranceMetrics(marks, audioS, speed);
  return { metrics, transcript: finalText, droppedS };
}

/** Cuts a recording into the frames that all sessions share. */
export function loadRecordingOf(
  name: string,
  pcm: Buffer,
  reference: string | undefined,
): LoadRecording {
  const frames: Buffer[] = [];
  for (let at = 0; at < pcm.length; at += CHUNK_BYTES) {
    const frame = pcm.subarray(at, at + CHUNK_BYTES);
    keepEncoded(frame);
    frames.push(frame);
  }
  return { name, audioS: durationS(pcm), frames, reference };
}
