import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type YapServerFrame } from '@voice-fleet/protocol/yap';
import { WebSocketServer } from 'ws';
import { frameAgeMs, idsOf, WORD } from '../frames.ts';
import type { Upstream, UpstreamSession } from './upstream-session.ts';

/** What relays lead to: takes any frame and sends what the gateway's clients would get, ready-made. */
export async function startPlainServer(onFrame: (ageMs: number) => void): Promise<Upstream> {
  const sessions: UpstreamSession[] = [];
  const server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    perMessageDeflate: false,
    skipUTF8Validation: true,
  });
  server.on('connection', (socket) => {
    const ids = idsOf(sessions.length);
    const token = text({ type: 'token', ...ids, payload: { text: WORD } });
    socket.on('error', () => undefined);
    socket.on('message', (data: Buffer) => {
      const ageMs = frameAgeMs(data);
      if (ageMs !== undefined) onFrame(ageMs);
    });
    const payload = { id: ids.session_id, created: 0, model: 'bench' };
    socket.send(text({ type: 'session.created', ...ids, payload }));
    sessions.push({
      sendWord: () => socket.send(token),
      // Only the link has acks.
      sendAck: () => undefined,
    });
  });
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, sessions };
}

function text(frame: YapServerFrame): string {
  return JSON.stringify(frame);
}
