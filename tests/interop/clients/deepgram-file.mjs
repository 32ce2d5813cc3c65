// @deepgram/sdk: a whole recording.
import { createReadStream } from 'node:fs';
import { DeepgramClient } from '@deepgram/sdk';
import { options, report, wsUrl } from './lib.mjs';

const deepgram = new DeepgramClient({
  apiKey: options.key,
  environment: { base: options.url, production: wsUrl, agent: wsUrl, agentRest: options.url },
});
const answer = await deepgram.listen.v1.media.transcribeFile(createReadStream(options.file), {
  model: 'nova-3',
  punctuate: true,
});
const [alternative] = answer.results.channels[0].alternatives;
report({
  text: alternative.transcript,
  words: alternative.words,
  duration: answer.metadata.duration,
});
