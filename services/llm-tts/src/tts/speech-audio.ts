import { VoiceError } from '@voice-fleet/protocol/errors';
import { readWav, type WavAudio, WavError, writeWav } from '@voice-fleet/speech/wav';
import type { SpeechAudio } from './engine.ts';

/** What an engine made, with a header that is true, in mono. Throws VoiceError `tts_failed` if it is no WAV or has no audio. */
export function speechFromWav(bytes: Buffer): SpeechAudio {
  let audio: WavAudio;
  try {
    audio = readWav(bytes);
  } catch (error) {
    if (!(error instanceof WavError)) throw error;
    throw new VoiceError('tts_failed', { cause: error });
  }
  return speechFromPcm(toMono(audio), audio.sampleRate);
}

/** The same from bare PCM16 LE mono. */
export function speechFromPcm(pcm: Buffer, sampleRate: number): SpeechAudio {
  const samples = Math.floor(pcm.length / 2);
  if (samples === 0) {
    throw new VoiceError('tts_failed', { cause: new Error('the engine made no audio') });
  }
  return { wav: writeWav(pcm, sampleRate), sampleRate, durationMs: (samples / sampleRate) * 1000 };
}

function toMono({ pcm, channels }: WavAudio): Buffer {
  if (channels === 1) return pcm;
  const frames = pcm.length / (2 * channels);
  const mono = Buffer.alloc(frames * 2);
  for (let frame = 0; frame < frames; frame += 1) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel += 1) {
      sum += pcm.readInt16LE((frame * channels + channel) * 2);
    }
    mono.writeInt16LE(Math.round(sum / channels), frame * 2);
  }
  return mono;
}
