// @openai/agents-realtime: a spoken conversation with the fleet's own reply.
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession } from '@openai/agents-realtime';
import { options, paced, pcm24, report, withSilence, wsUrl } from './lib.mjs';

const agent = new RealtimeAgent({ name: 'fleet', instructions: 'Answer briefly.' });
const session = new RealtimeSession(agent, {
  transport: new OpenAIRealtimeWebSocket({ url: `${wsUrl}/v1/realtime`, useInsecureApiKey: true }),
  model: 'gpt-realtime',
  config: {
    audio: {
      input: {
        format: { type: 'audio/pcm', rate: 24_000 },
        transcription: { model: 'gpt-4o-transcribe' },
        turnDetection: { type: 'server_vad', silenceDurationMs: 500 },
      },
      output: { format: { type: 'audio/pcm', rate: 24_000 } },
    },
  },
});
let spokenBytes = 0;
session.on('audio', ({ data }) => {
  spokenBytes += data.byteLength;
});
session.on('error', ({ error }) => {
  console.error(error);
  process.exit(1);
});
const said = (role) =>
  session.history
    .filter((item) => item.role === role)
    .flatMap(({ content }) => content.map((part) => part.transcript ?? part.text ?? ''))
    .join(' ');
session.on('audio_stopped', () => {
  // The transcript of what was heard is asked for when it is there, and comes a moment later.
  const look = () => {
    if (said('user') === '' || said('assistant') === '') return;
    report({ text: said('user'), reply: said('assistant'), spokenBytes });
  };
  session.on('history_updated', look);
  look();
});
await session.connect({ apiKey: options.key });
for await (const piece of paced(withSilence(pcm24, 24_000), 24_000))
  session.sendAudio(piece.buffer.slice(piece.byteOffset, piece.byteOffset + piece.length));
