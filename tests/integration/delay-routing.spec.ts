import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MistralServerMessage } from '@voice-fleet/protocol/mistral-realtime';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { WebSocket } from 'ws';
import { Fleet, KEY } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

type Message = MistralServerMessage;

/** A client of Mistral's dialect that keeps all it is told. */
class MistralSocket {
  readonly socket: WebSocket;
  readonly received: Message[] = [];

  constructor(port: number) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/v1/audio/transcriptions/realtime`, {
      headers: { authorization: `Bearer ${KEY}` },
    });
    this.socket.on('message', (data: Buffer) =>
      this.received.push(MistralServerMessage.parse(JSON.parse(data.toString()))),
    );
  }

  send(message: unknown): void {
    this.socket.send(JSON.stringify(message));
  }

  say(pcm: Buffer): void {
    for (let at = 0; at < pcm.length; at += 100_000)
      this.send({
        type: 'input_audio.append',
        audio: pcm.subarray(at, at + 100_000).toString('base64'),
      });
  }

  async next<T extends Message['type']>(type: T, nth = 0): Promise<Extract<Message, { type: T }>> {
    const find = () => this.received.filter((message) => message.type === type)[nth];
    await until(() => find() !== undefined, `a ${type}`);
    return find() as Extract<Message, { type: T }>;
  }

  /** The delay that is in force after a wish. */
  async wish(delayMs: number): Promise<number | null> {
    await this.next('session.created');
    const nth = this.received.filter(({ type }) => type === 'session.updated').length;
    this.send({ type: 'session.update', session: { target_streaming_delay_ms: delayMs } });
    return (await this.next('session.updated', nth)).session.target_streaming_delay_ms;
  }
}

describe('a session that wishes for a delay', () => {
  const fast = new ScriptedEngine({ slots: 1, delayMs: 240 });
  const middle = new ScriptedEngine({ slots: 1, delayMs: 560 });
  const slow = new ScriptedEngine({ slots: 1, delayMs: 960 });
  const engines = [fast, middle, slow];
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start(engines);
    await expectFleet({ workers: 3, leased: 0 });
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  const expectFleet = (facts: { workers: number; leased: number }): Promise<void> =>
    until(
      async () => {
        const { workers, leased } = (await fleet.get('/readyz')).body;
        return workers === facts.workers && leased === facts.leased;
      },
      `a fleet of ${JSON.stringify(facts)}`,
    );

  const open = (): MistralSocket => {
    const client = new MistralSocket(fleet.gateways[0]?.port ?? 0);
    fleet.sockets.push(client.socket);
    return client;
  };

  /** What one that wishes so says is heard by this engine alone, and every word of it once. */
  async function expectHeardBy(wishMs: number, engine: ScriptedEngine): Promise<void> {
    const others = engines.filter((one) => one !== engine);
    const taken = () => others.map(({ takenSamples }) => takenSamples);
    const before = taken();
    const client = open();
    expect(await client.wish(wishMs)).toBe(engine.delayMs);
    client.say(speak(range(1, 4)));
    client.send({ type: 'input_audio.end' });
    const { text } = await client.next('transcription.done');
    expect(text.trim()).toBe(transcript(range(1, 4)));
    expect(taken()).toEqual(before);
    await expectFleet({ workers: 3, leased: 0 });
  }

  it('is served by the worker whose delay is nearest, whichever it was placed on first', async () => {
    await expectHeardBy(960, slow);
    await expectHeardBy(200, fast);
    await expectHeardBy(2_400, slow);
    await expectHeardBy(240, fast);
  });

  it('goes to the next nearest when that worker is full, and stays where nothing nearer is free', async () => {
    const first = open();
    expect(await first.wish(960)).toBe(960);
    const second = open();
    expect(await second.wish(240)).toBe(240);
    expect(await second.wish(960)).toBe(560);
    const third = open();
    expect(await third.wish(960)).toBe(240);
    second.say(speak(range(1, 3)));
    second.send({ type: 'input_audio.end' });
    const { text } = await second.next('transcription.done');
    expect(text.trim()).toBe(transcript(range(1, 3)));
  });
});
