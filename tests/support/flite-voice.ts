import { FliteEngine } from '@voice-fleet/llm-tts/tts/flite';
import { systemClock as clock } from '@voice-fleet/runtime/clock';
import { readWav } from '@voice-fleet/speech/wav';

/** What a synthetic but real voice says, as PCM16 LE mono 16 kHz. */
export async function fliteSays(texts: readonly string[]): Promise<Buffer[]> {
  const flite = await FliteEngine.start({ clock, voice: 'rms', threads: 1 });
  try {
    const never = new AbortController().signal;
    const spoken: Buffer[] = [];
    for (const text of texts) {
      const { pcm } = readWav((await flite.synthesize({ text }, never)).wav);
      spoken.push(pcm);
    }
    return spoken;
  } finally {
    await flite.stop();
  }
}
