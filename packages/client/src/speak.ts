import type { Clock } from '@voice-fleet/runtime/clock';
import { BYTES_PER_SAMPLE, msToSamples } from '@voice-fleet/speech/pcm';
import { SpeechMeter } from '@voice-fleet/speech/speech-meter';
import { pacedChunks } from './audio-source.ts';
import type { VoiceTurn } from './voice-turn.ts';

/** A server whose utterances end by silence has ended this one long before. */
const MAX_SILENCE_MS = 10_000;

export interface SpeakOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  /** 1 is real time, 2 twice as fast. */
  readonly speed?: number;
  /** `stop`: says that it is over. `silence`: goes on as a microphone in a quiet room until the server ends the utterance. */
  readonly end: 'stop' | 'silence';
}

/** Speaks a recording (PCM16 LE, 16 kHz, mono) into a turn, at the pace of a microphone. Returns when nothing more is to be sent. */
export async function speak(turn: VoiceTurn, pcm: Buffer, options: SpeakOptions): Promise<void> {
  const { clock, signal, speed = 1, end } = options;
  const signals = signal ? [turn.over, signal] : [turn.over];
  const pace = { clock, signal: AbortSignal.any(signals), speed };
  const meter = new SpeechMeter();
  const silence = Buffer.alloc(end === 'silence' ? bytesOf(MAX_SILENCE_MS) : 0);
  try {
    for await (const chunk of pacedChunks(Buffer.concat([pcm, silence]), pace)) {
      // An utterance that ended in a pause of the recording: the rest would be another one.
      if (!turn.listening) return;
      turn.send(chunk);
      meter.observe(chunk);
      // As far as loudness tells.
      if (meter.pauseSamples * BYTES_PER_SAMPLE < chunk.length) turn.markSpeechEnd();
    }
  } catch (error) {
    // The outcome is told by the turn.
    if (turn.over.aborted) return;
    throw error;
  }
  if (end === 'stop' && turn.listening) turn.stop();
}

function bytesOf(ms: number): number {
  return msToSamples(ms) * BYTES_PER_SAMPLE;
}
