import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import type { ScriptedYapFleet } from './scripted-yap-fleet.fixture.ts';

export interface ScriptedGateway {
  readonly url: URL;
  /** Connections so far, those that were refused too. */
  readonly dials: () => number;
  /** Ends each connection without a word, and what they had not saved is lost; then nobody listens. */
  kill(): Promise<void>;
}

/** A gateway of the scripted fleet on a real port. `onMessage` comes after each message of a client has been carried out. */
export async function startScriptedGateway(
  fleet: ScriptedYapFleet,
  onMessage: (count: number) => void = () => {},
): Promise<ScriptedGateway> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await new Promise<void>((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  let dials = 0;
  let messages = 0;
  let alive = true;
  server.on('connection', (socket, request) => {
    dials += 1;
    const token = request.headers['x-resume-token']?.toString();
    const lastSeq = Number(request.headers['x-last-seq'] ?? 0);
    const connection = fleet.accept(
      { token, lastSeq },
      {
        send: (text) => socket.send(text),
        close: (code, reason) => socket.close(code, reason),
      },
    );
    // A connection that was cut in mid frame.
    socket.on('error', () => {});
    socket.on('close', () => alive && connection?.lost());
    socket.on('message', (data) => {
      if (!alive) return;
      connection?.receive(data.toString());
      connection?.save();
      // The end of an utterance comes a save after it was asked for.
      connection?.save();
      messages += 1;
      onMessage(messages);
    });
  });
  return {
    url: new URL(`ws://127.0.0.1:${port}/api/asr-streaming`),
    dials: () => dials,
    kill: async () => {
      alive = false;
      for (const socket of server.clients) socket.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
