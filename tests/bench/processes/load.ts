import { once } from 'node:events';
import { WebSocket } from 'ws';
import { audioFrame, FRAME_MS, idsOf, stampFrame } from '../frames.ts';
import { LoadJob } from '../messages.ts';
import { startPacer } from './pacer.ts';
import { fail, serveParent, tell } from './parent.ts';

const CONNECTIONS_AT_ONCE = 20;
const CONNECT_TIMEOUT_MS = 10_000;

const job = LoadJob.parse(JSON.parse(process.argv[2] ?? ''));
let messages = 0;

/** Opens a session and an utterance in it; from then on it takes audio. */
async function openSession(index: number): Promise<WebSocket> {
  const socket = new WebSocket(job.url, { perMessageDeflate: false, skipUTF8Validation: true });
  socket.on('error', (error) => fail(`session ${index}: ${error.message}`));
  // The first message is session.created, whatever is measured.
  await once(socket, 'message', { signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) });
  socket.on('message', (data: Buffer) => {
    messages += 1;
    if (data.includes('"type":"error"')) fail(`session ${index} got ${data.toString()}`);
  });
  socket.on('close', (code) => fail(`session ${index} was closed (${code})`));
  const start = {
    type: 'input_audio_buffer.commit',
    ...idsOf(index),
    payload: { final: false },
  };
  socket.send(JSON.stringify(start));
  return socket;
}

serveParent((request) => {
  const { worstLagMs } = pacer;
  const report = { kind: 'load-report' as const, messages, worstLagMs };
  messages = 0;
  pacer.reset();
  return request === 'reset' ? { kind: 'reset' } : report;
});

const sockets: WebSocket[] = [];
while (sockets.length < job.sessions) {
  const from = sockets.length;
  const count = Math.min(CONNECTIONS_AT_ONCE, job.sessions - from);
  sockets.push(
    ...(await Promise.all(Array.from({ length: count }, (_, i) => openSession(from + i)))),
  );
}
const frames = sockets.map((_, index) => audioFrame(index));
const pacer = startPacer(FRAME_MS, sockets.length, (slot) => {
  const frame = frames[slot];
  if (frame === undefined) return;
  stampFrame(frame);
  // Masked, so copied, within the call: the frame may be stamped anew at once.
  sockets[slot]?.send(frame, { binary: false });
});
tell({ kind: 'ready' });
