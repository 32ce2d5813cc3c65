import type { Clock } from '@voice-fleet/runtime/clock';
import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';
import type { Word } from '@voice-fleet/speech/words';
import type { UtteranceEngine } from '../engines/traced-engine.ts';
import { type RunnerSettings, UtteranceRunner } from '../transcription/utterance-runner.ts';

export interface Piece {
  readonly jobId: string;
  readonly index: number;
  readonly fromSample: number;
  readonly pcm: Buffer;
}

export interface PieceDeps {
  readonly engine: UtteranceEngine;
  readonly clock: Clock;
  readonly settings: RunnerSettings;
}

/** One piece as one utterance; word times are those of the recording. An abort frees the engine before it returns, and rejects. */
export function transcribePiece(
  piece: Piece,
  { engine, clock, settings }: PieceDeps,
  signal: AbortSignal,
): Promise<readonly Word[]> {
  const { pcm, fromSample, jobId, index } = piece;
  const samples = pcm.length / BYTES_PER_SAMPLE;
  const { recovery } = settings;
  const replaySamples = Math.max(recovery.replaySamples, samples);
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    const all: Word[] = [];
    const onAbort = (): void => {
      runner.cancel();
      reject(signal.reason as Error);
    };
    const settle = (act: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      act();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const runner = new UtteranceRunner(fromSample, {
      engine,
      clock,
      // It all waits at once, and nothing of it may be dropped.
      settings: { ...settings, maxBacklogSamples: 0, recovery: { ...recovery, replaySamples } },
      voice: {},
      sessionId: jobId,
      utterance: index,
      listener: {
        onWords: (words) => void all.push(...words),
        onFinal: (words) => settle(() => resolve([...all, ...words])),
        onFailed: (cause) => settle(() => reject(cause as Error)),
        onDropped: (dropped) =>
          settle(() => {
            runner.cancel();
            reject(new Error(`${dropped} samples of a piece were dropped`));
          }),
        onTaken: () => undefined,
        onSegmentRolled: () => undefined,
        onFault: () => undefined,
        onRecovered: () => undefined,
      },
    });
    runner.push(pcm);
    runner.finish();
  });
}
