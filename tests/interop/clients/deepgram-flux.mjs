// @deepgram/sdk: turns, as voice agents take them.
import { DeepgramClient } from '@deepgram/sdk';
import { options, paced, pcm, report, withSilence, wsUrl } from './lib.mjs';

const deepgram = new DeepgramClient({
  apiKey: options.key,
  environment: { base: options.url, production: wsUrl, agent: wsUrl, agentRest: options.url },
});
const socket = await deepgram.listen.v2.connect({
  model: 'flux-general-en',
  encoding: 'linear16',
  sample_rate: 16_000,
});
const told = [];
const turns = [];
socket.on('message', (message) => {
  told.push(message.event ?? message.type);
  if (message.event === 'EndOfTurn') turns.push(message);
});
socket.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
socket.on('close', ({ code }) =>
  report({ text: turns.map(({ transcript }) => transcript).join(' '), told, code }),
);
socket.connect();
await socket.waitForOpen();
for await (const piece of paced(withSilence(pcm))) socket.sendMedia(piece);
socket.sendCloseStream({ type: 'CloseStream' });
