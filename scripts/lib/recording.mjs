import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One recording of Debian's pocketsphinx-testdata: LibriVox, "Sense and Sensibility", chapter 1. */
const NAME = 'sense_and_sensibility_01_austen_64kb-0930';

/** The recording that the demonstration plays, and what is said in it. */
export function demoRecording(sampleDir) {
  const line = readFileSync(join(sampleDir, 'transcription'), 'utf8')
    .split('\n')
    .find((text) => text.includes(`(${NAME})`));
  return {
    name: `LibriVox, "Sense and Sensibility" by Jane Austen (${NAME}.wav)`,
    path: join(sampleDir, `${NAME}.wav`),
    reference: (line ?? '').replace(/<\/?s>|\([^)]*\)/g, '').trim(),
  };
}
