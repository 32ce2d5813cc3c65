import { AudioFrame } from '@livekit/rtc-node';
import { paced, pcm, pcm24, report, withSilence } from './lib.mjs';

/** Streams the recording into a speech-to-text of LiveKit and reports its finals, after the first behind which nothing is said. */
export async function hear(speechToText, rate, { FINAL_TRANSCRIPT }) {
  speechToText.on('error', (error) => {
    console.error(error);
    process.exit(1);
  });
  const stream = speechToText.stream();
  let isSent = false;
  const texts = [];
  const told = [];
  const finished = () => report({ text: texts.join(' '), told });
  const reading = (async () => {
    for await (const event of stream) {
      told.push(event.type);
      if (event.type !== FINAL_TRANSCRIPT) continue;
      texts.push(event.alternatives[0].text);
      if (isSent) finished();
    }
  })();
  for await (const piece of paced(withSilence(rate === 24_000 ? pcm24 : pcm, rate), rate)) {
    const samples = new Int16Array(
      piece.buffer.slice(piece.byteOffset, piece.byteOffset + piece.length),
    );
    stream.pushFrame(new AudioFrame(samples, rate, 1, samples.length));
  }
  isSent = true;
  if (texts.length > 0) finished();
  await reading;
}
