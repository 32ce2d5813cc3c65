import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type DeepgramResults, DeepgramServerMessage } from '@voice-fleet/protocol/deepgram';
import { FluxServerMessage } from '@voice-fleet/protocol/deepgram-flux';
import { frames, range, silence, speak } from '@voice-fleet/testkit/coded-speech';
import { WebSocket } from 'ws';
import { Fleet, KEY } from '../support/fleet.ts';
import { wav } from '../support/recordings.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

/** Loud enough for whoever tells words from pauses by their energy alone. */
const LOUD = 3_000;
const words = (from: number, to: number): Buffer => speak(range(LOUD + from, LOUD + to));
const said = (from: number, to: number): string =>
  range(from, to)
    .map((word) => `w${LOUD + word}`)
    .join(' ');

let fleet: Fleet;
beforeAll(async () => {
  fleet = await Fleet.start([new ScriptedEngine({ slots: 4 })]);
});
afterAll(() => fleet[Symbol.asyncDispose]());

function open(query: string, protocols: string[] = []) {
  const address = `127.0.0.1:${fleet.gateways[0]?.port}/v1/listen`;
  const headers = protocols.length === 0 ? { Authorization: `Token ${KEY}` } : {};
  const socket = new WebSocket(
    `ws://${address}?encoding=linear16&sample_rate=16000&${query}`,
    protocols,
    { headers },
  );
  fleet.sockets.push(socket);
  const told: DeepgramServerMessage[] = [];
  socket.on('message', (data) => told.push(DeepgramServerMessage.parse(JSON.parse(String(data)))));
  const finals = (): DeepgramResults[] =>
    told.filter((one): one is DeepgramResults => one.type === 'Results' && one.is_final);
  const texts = (): string[] =>
    finals()
      .map(({ channel }) => channel.alternatives[0]?.transcript ?? '')
      .filter(Boolean);
  return { socket, told, finals, texts };
}

describe('a client of Deepgram', () => {
  it('hears each utterance to its end, the end of speech, and metadata last', async () => {
    const { socket, told, finals, texts } = open(
      'interim_results=true&vad_events=true&utterance_end_ms=1000',
    );
    await once(socket, 'open');
    const pcm = Buffer.concat([words(1, 5), silence(2_500), words(6, 9)]);
    for (const frame of frames(pcm)) socket.send(frame);
    socket.send(JSON.stringify({ type: 'KeepAlive' }));
    await until(() => told.some(({ type }) => type === 'UtteranceEnd'), 'the utterance ended');
    socket.send(JSON.stringify({ type: 'CloseStream' }));
    const [code] = (await once(socket, 'close')) as [number];
    expect(code).toBe(1000);
    expect(texts().join(' ')).toBe(said(1, 9));
    expect(told[0]?.type).toBe('SpeechStarted');
    expect(told.at(-1)).toMatchObject({ type: 'Metadata', duration: pcm.length / 32_000 });
    let end = 0;
    for (const { start, duration } of finals()) {
      expect(start).toBeCloseTo(end, 2);
      end = start + duration;
    }
    expect(end).toBeCloseTo(pcm.length / 32_000, 2);
  });

  it('brings its key as a subprotocol, and finalizes when it wants to', async () => {
    const { socket, finals, texts } = open('endpointing=false', ['token', KEY]);
    await once(socket, 'open');
    expect(socket.protocol).toBe('token');
    socket.send(words(1, 3));
    socket.send(JSON.stringify({ type: 'Finalize' }));
    await until(() => texts().length > 0, 'the words are final');
    expect(finals()[0]).toMatchObject({ from_finalize: true, speech_final: false });
    expect(texts()).toEqual([said(1, 3)]);
    socket.send(JSON.stringify({ type: 'Finalize' }));
    await until(() => finals().length === 2, 'nothing more was said');
    socket.close();
  });

  it.each(['encoding=opus', 'channels=99'])(
    'is refused for %s, in words that it knows',
    async (query) => {
      const address = `127.0.0.1:${fleet.gateways[0]?.port}/v1/listen?sample_rate=16000&${query}`;
      const socket = new WebSocket(`ws://${address}`, {
        headers: { Authorization: `Token ${KEY}` },
      });
      const [error] = (await once(socket, 'error')) as [Error];
      expect(error.message).toContain('400');
    },
  );

  it('gets all words of a recording with their times', async () => {
    const url = `http://127.0.0.1:${fleet.gateways[0]?.port}/v1/listen?model=nova-3`;
    const headers = { Authorization: `Token ${KEY}`, 'Content-Type': 'application/octet-stream' };
    const body = new Uint8Array(wav(range(LOUD + 1, LOUD + 3)));
    const answer = await fetch(url, { method: 'POST', headers, body });
    expect(answer.status).toBe(200);
    const { metadata, results } = (await answer.json()) as {
      metadata: object;
      results: { channels: { alternatives: { transcript: string; words: object[] }[] }[] };
    };
    const [alternative] = results.channels[0]?.alternatives ?? [];
    expect(alternative?.transcript).toBe(said(1, 3));
    expect(alternative?.words[1]).toMatchObject({
      word: `w${LOUD + 2}`,
      start: expect.any(Number),
    });
    expect(metadata).toMatchObject({ channels: 1, duration: 1.2, models: ['scripted-model'] });
  });

  it('is told that recordings are not fetched', async () => {
    const url = `http://127.0.0.1:${fleet.gateways[0]?.port}/v1/listen`;
    const headers = { Authorization: `Token ${KEY}`, 'Content-Type': 'application/json' };
    const answer = await fetch(url, { method: 'POST', headers, body: '{"url":"http://x/"}' });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      err_code: 'Bad Request',
      err_msg: expect.stringContaining('not fetched'),
    });
  });
});

describe('a client of Flux', () => {
  it('hears each turn, ended by a pause or by itself', async () => {
    const address = `127.0.0.1:${fleet.gateways[0]?.port}/v2/listen`;
    const query = 'model=flux-general-en&encoding=linear16&sample_rate=16000';
    const socket = new WebSocket(`ws://${address}?${query}`, ['token', KEY]);
    fleet.sockets.push(socket);
    const told: FluxServerMessage[] = [];
    socket.on('message', (data) => told.push(FluxServerMessage.parse(JSON.parse(String(data)))));
    const ends = () =>
      told.flatMap((one) =>
        one.type === 'TurnInfo' && one.event === 'EndOfTurn'
          ? [[one.turn_index, one.transcript, one.trigger]]
          : [],
      );
    await once(socket, 'open');
    expect(socket.protocol).toBe('token');
    for (const frame of frames(Buffer.concat([words(1, 4), silence(1_500)]))) socket.send(frame);
    await until(() => ends().length === 1, 'the first turn is over');
    for (const frame of frames(words(5, 6))) socket.send(frame);
    socket.send(JSON.stringify({ type: 'ForceEndTurn' }));
    await until(() => ends().length === 2, 'the second turn is over');
    socket.send(JSON.stringify({ type: 'CloseStream' }));
    const [code] = (await once(socket, 'close')) as [number];
    expect(code).toBe(1000);
    expect(ends()).toEqual([
      [0, said(1, 4), 'model'],
      [1, said(5, 6), 'manual'],
    ]);
    expect(told.map(({ sequence_id }) => sequence_id)).toEqual(told.map((_, index) => index));
    expect(told[0]?.type).toBe('Connected');
  });
});
