import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import { WorkerAgent } from '@voice-fleet/fleet/worker-agent';
import { WorkerRegistry } from '@voice-fleet/fleet/worker-registry';
import { LINK_PATH, LinkCommand, type LinkEvent } from '@voice-fleet/protocol/link';
import { systemClock } from '@voice-fleet/runtime/clock';
import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';
import { type WebSocket, WebSocketServer } from 'ws';
import { pcmAgeMs, WORD } from '../frames.ts';
import type { UpstreamJob } from '../messages.ts';
import { fail } from './parent.ts';
import type { Upstream, UpstreamSession } from './upstream-session.ts';

const REDIS_TIMEOUT_MS = 5_000;

/** A worker without an engine: registered like a real one, takes every link, and says a word now and then. */
export async function startStandInWorker(
  job: Extract<UpstreamJob, { kind: 'link' }>,
  onFrame: (ageMs: number) => void,
): Promise<Upstream> {
  const sessions: UpstreamSession[] = [];
  const server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    path: LINK_PATH,
    perMessageDeflate: false,
    skipUTF8Validation: true,
  });
  server.on('connection', (socket) => sessions.push(new LinkSession(socket, onFrame)));
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await register(job, `127.0.0.1:${port}`);
  return { port, sessions };
}

async function register(
  { redisUrl, fleet, sessions }: Extract<UpstreamJob, { kind: 'link' }>,
  address: string,
): Promise<void> {
  const redis = connectRedis(redisUrl, { onError: (error) => fail(`redis: ${error.message}`) });
  await untilReady(redis, AbortSignal.timeout(REDIS_TIMEOUT_MS));
  const agent = new WorkerAgent({
    registry: new WorkerRegistry(redis, { fleet }),
    clock: systemClock,
    describe: () => ({
      workerId: `bench-${process.pid}`,
      address,
      model: 'bench',
      engine: 'none',
      slots: sessions,
      state: 'ready',
    }),
    leases: () => [],
    onError: (error) => fail(`registration: ${String(error)}`),
  });
  agent.start();
}

class LinkSession implements UpstreamSession {
  readonly #socket: WebSocket;
  #utterance: number | undefined;
  #frames = 0;
  #sample = 0;

  constructor(socket: WebSocket, onFrame: (ageMs: number) => void) {
    this.#socket = socket;
    socket.on('error', () => undefined);
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (!isBinary) return this.#onCommand(LinkCommand.parse(JSON.parse(data.toString())));
      this.#frames += 1;
      this.#sample += data.length / BYTES_PER_SAMPLE;
      onFrame(pcmAgeMs(data));
    });
  }

  sendWord(): void {
    if (this.#utterance === undefined) return;
    const endSample = this.#sample;
    const words = [{ text: WORD, startSample: Math.max(0, endSample - 1280), endSample }];
    this.#send({ type: 'partial', utterance: this.#utterance, words, tail: '' });
  }

  sendAck(): void {
    if (this.#utterance === undefined) return;
    this.#send({
      type: 'ack',
      frames: this.#frames,
      takenSample: this.#sample,
      sample: this.#sample,
    });
  }

  #onCommand(command: LinkCommand): void {
    if (command.type === 'hello')
      return this.#send({ type: 'ready', epoch: command.lease.epoch, model: 'bench' });
    this.#frames += 1;
    this.#utterance = command.type === 'start' ? command.utterance : undefined;
  }

  #send(event: LinkEvent): void {
    this.#socket.send(JSON.stringify(event));
  }
}
