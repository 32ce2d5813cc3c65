import type { Word } from '@voice-fleet/speech/words';
import type { RawWord } from './decoder.ts';
import { FRAME_SAMPLES, type VoiceGate } from './voice-gate.ts';

/** Less voice than this under a word is a breath, a click or a fit of imagination. */
const MIN_VOICED_FRAMES = 4;
/** A whole utterance this short needs some belief of the decoder's own as well. */
const SHORT_UTTERANCE_FRAMES = 30;
const MIN_MEAN_POSTERIOR = 0.4;

/** The words people said: no markers, no pronunciation variants, nothing where nobody spoke. */
export function spokenWords(
  raw: readonly RawWord[],
  gate: VoiceGate,
  offsetSamples: number,
  totalSamples: number,
): Word[] {
  const offsetFrames = offsetSamples / FRAME_SAMPLES;
  return raw.flatMap(({ text, fromFrame, toFrame, posterior }) => {
    const voiced = gate.countVoiced(offsetFrames + fromFrame, offsetFrames + toFrame);
    if (/^[<[+]/.test(text) || voiced < MIN_VOICED_FRAMES) return [];
    return {
      text: text.replace(/\(\d+\)$/, ''),
      startSample: offsetSamples + fromFrame * FRAME_SAMPLES,
      endSample: Math.min(totalSamples, offsetSamples + toFrame * FRAME_SAMPLES),
      ...(posterior !== undefined && { confidence: Math.min(1, posterior) }),
    };
  });
}

/** Whether a final decode is worth nothing: next to no voice, and words the decoder does not believe in. */
export function isImagined(words: readonly Word[], gate: VoiceGate): boolean {
  if (gate.voicedFrames >= SHORT_UTTERANCE_FRAMES) return false;
  const sum = words.reduce((total, { confidence }) => total + (confidence ?? 0), 0);
  return sum < MIN_MEAN_POSTERIOR * words.length;
}
