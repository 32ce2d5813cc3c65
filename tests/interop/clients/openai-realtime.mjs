// openai: a transcription session that ends its turn itself, on 24 kHz, as the SDK's documentation shows it.
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { options, paced, pcm24, report } from './lib.mjs';

const client = new OpenAI({ apiKey: options.key, baseURL: `${options.url}/v1` });
const socket = new OpenAIRealtimeWS({ intent: 'transcription' }, client);
const told = [];
let text = '';
socket.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
socket.on('event', (event) => told.push(event.type));
socket.on('conversation.item.input_audio_transcription.delta', ({ delta }) => {
  text += delta;
});
socket.on('session.created', () =>
  socket.send({
    type: 'session.update',
    session: {
      type: 'transcription',
      audio: {
        input: {
          format: { type: 'audio/pcm', rate: 24_000 },
          transcription: { model: 'gpt-4o-transcribe', language: 'en' },
          turn_detection: null,
        },
      },
    },
  }),
);
socket.on('session.updated', async () => {
  for await (const piece of paced(pcm24, 24_000))
    socket.send({ type: 'input_audio_buffer.append', audio: piece.toString('base64') });
  socket.send({ type: 'input_audio_buffer.commit' });
});
socket.on('conversation.item.input_audio_transcription.completed', ({ transcript, usage }) => {
  socket.socket.once('close', (code) =>
    report({ text: transcript, deltas: text, usage, told, code }),
  );
  socket.close();
});
