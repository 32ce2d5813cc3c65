// @mistralai/mistralai: one stream to its end.
import { RealtimeTranscription } from '@mistralai/mistralai/extra/realtime';
import { options, paced, pcm, report, wsUrl } from './lib.mjs';

const client = new RealtimeTranscription({ apiKey: options.key, serverURL: wsUrl });
const told = [];
let text = '';
let done;
for await (const event of client.transcribeStream(
  paced(pcm),
  'voxtral-mini-transcribe-realtime-2602',
  { audioFormat: { encoding: 'pcm_s16le', sampleRate: 16_000 } },
)) {
  told.push(event.type);
  if (event.type === 'transcription.text.delta') text += event.text;
  if (event.type === 'transcription.done') done = event;
  if (event.type === 'error') throw new Error(JSON.stringify(event));
}
report({ text: done.text, deltas: text, usage: done.usage, told });
