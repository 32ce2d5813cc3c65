import type { EngineStream } from '@voice-fleet/asr-worker/engines/engine';
import type { PocketsphinxEngine } from '@voice-fleet/asr-worker/engines/pocketsphinx/engine';
import { joinText } from '@voice-fleet/speech/words';
import type { Hearing } from '@voice-fleet/testkit/fake-vllm/hearing';

/** Lets a fake vLLM hear real speech: one utterance of the embedded engine, its words as the deltas of the frames in which they settle. */
export function sphinxHearing(engine: PocketsphinxEngine): Hearing {
  const stream: EngineStream = engine.open({});
  // As the model writes it, also the first word begins with a space.
  let heard = ' ';
  const reading = (async () => {
    for await (const event of stream.events)
      if (event.kind === 'words') heard += joinText(event.words);
  })();
  return {
    async frame(pcm) {
      await stream.write(pcm);
      if (heard.trim() === '') return '';
      const delta = heard;
      heard = '';
      return delta;
    },
    close() {
      stream.abort();
      reading.catch(() => undefined);
    },
  };
}
