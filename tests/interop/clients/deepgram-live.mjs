// @deepgram/sdk: a live stream whose utterances the server ends.
import { DeepgramClient } from '@deepgram/sdk';
import { options, paced, pcm, report, withSilence, wsUrl } from './lib.mjs';

const deepgram = new DeepgramClient({
  apiKey: options.key,
  environment: { base: options.url, production: wsUrl, agent: wsUrl, agentRest: options.url },
});
const socket = await deepgram.listen.v1.connect({
  model: 'nova-3',
  encoding: 'linear16',
  sample_rate: 16_000,
  channels: 1,
  interim_results: 'true',
  punctuate: 'true',
  smart_format: 'true',
  endpointing: 300,
  utterance_end_ms: 1000,
  vad_events: 'true',
  language: 'en',
});
const told = [];
const finals = [];
socket.on('message', (message) => {
  told.push(message.type);
  if (message.type === 'Results' && message.is_final) finals.push(message);
});
socket.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
socket.on('close', ({ code }) => {
  const alternatives = finals.map(({ channel }) => channel.alternatives[0]);
  report({
    text: alternatives.map(({ transcript }) => transcript).join(' '),
    words: alternatives.flatMap(({ words }) => words),
    spans: finals.map(({ start, duration, speech_final }) => ({ start, duration, speech_final })),
    told,
    code,
  });
});
socket.connect();
await socket.waitForOpen();
for await (const piece of paced(withSilence(pcm))) socket.sendMedia(piece);
socket.sendCloseStream({ type: 'CloseStream' });
