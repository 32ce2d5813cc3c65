// openai: what it does in a browser, with a secret made for it, which travels as a subprotocol; the server ends the turn.
import OpenAI from 'openai';
import { OpenAIRealtimeWebSocket } from 'openai/realtime/websocket';
import WebSocket from 'ws';
import { options, paced, pcm24, report, withSilence } from './lib.mjs';

// That of browsers. Node 20 has none of its own.
globalThis.WebSocket ??= WebSocket;

const client = new OpenAI({ apiKey: options.key, baseURL: `${options.url}/v1` });
const { value } = await client.realtime.clientSecrets.create({
  expires_after: { anchor: 'created_at', seconds: 60 },
  session: {
    type: 'transcription',
    audio: {
      input: {
        format: { type: 'audio/pcm', rate: 24_000 },
        transcription: { model: 'gpt-4o-transcribe' },
        turn_detection: { type: 'server_vad', silence_duration_ms: 500 },
      },
    },
  },
});
const own = new OpenAI({ apiKey: value, baseURL: `${options.url}/v1` });
const socket = new OpenAIRealtimeWebSocket(
  { intent: 'transcription', dangerouslyAllowBrowser: true },
  own,
);
const told = [];
const texts = [];
socket.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
socket.on('event', (event) => told.push(event.type));
socket.on('session.created', async ({ session }) => {
  for await (const piece of paced(withSilence(pcm24, 24_000), 24_000))
    socket.send({ type: 'input_audio_buffer.append', audio: piece.toString('base64') });
  const bound = session.audio?.input?.turn_detection?.type;
  const finish = () => {
    const { protocol } = socket.socket;
    report({
      text: texts.join(' '),
      told,
      bound,
      protocol,
      isClientSecret: value.startsWith('ek_'),
    });
  };
  if (texts.length > 0) finish();
  else socket.on('conversation.item.input_audio_transcription.completed', finish);
});
socket.on('conversation.item.input_audio_transcription.completed', ({ transcript }) =>
  texts.push(transcript),
);
