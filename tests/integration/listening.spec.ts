import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import {
  frames,
  range,
  SLOT_SAMPLES,
  silence,
  speak,
  WORD_SAMPLES,
} from '@voice-fleet/testkit/coded-speech';
import { lastText, tokensOf } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { FakeSpeech } from '@voice-fleet/testkit/fake-openai/fake-speech';
import { Fleet, KEY } from '../support/fleet.ts';
import { type JsonFrame, JsonSocket } from '../support/json-socket.ts';
import { PlainListener, plainListenDialect } from '../support/plain-listen.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { Turns } from '../support/turns.ts';
import { until } from '../support/until.ts';

/** Loud enough for whoever tells words from pauses by their energy alone. */
const LOUD = 3_000;
const words = (from: number, to: number): Buffer => speak(range(LOUD + from, LOUD + to));
const said = (from: number, to: number): string =>
  range(from, to)
    .map((word) => `w${LOUD + word}`)
    .join(' ');

const GREETING = 'Good morning. How are you today?';

let engines: ScriptedEngine[];
let turns: Turns;
let fleet: Fleet;

beforeAll(async () => {
  engines = [new ScriptedEngine({ slots: 4 }), new ScriptedEngine({ slots: 4 })];
  turns = await Turns.start({ speech: new FakeSpeech() });
  fleet = await Fleet.start(engines, { LLM_TTS_URL: turns.url }, [plainListenDialect]);
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await turns[Symbol.asyncDispose]();
});

async function listener(): Promise<PlainListener> {
  const client = new PlainListener(fleet.gateways[0]?.port ?? 0, KEY);
  fleet.sockets.push(client);
  await client.next('created');
  return client;
}

describe('a listening session', () => {
  it('cuts a recording that is sent at once where its speaker pauses, each word once and at its time', async () => {
    const client = await listener();
    client.send({ kind: 'listen', options: { endpointing: { silenceMs: 400 } } });
    const parts = [silence(500), words(1, 5), silence(1_000), words(6, 9), silence(1_000)];
    parts.push(words(10, 30), silence(1_000), words(31, 32));
    const pcm = Buffer.concat(parts);
    client.speak(pcm);
    client.send({ kind: 'finish' });
    expect(await client.closed).toBe('ended');

    const transcribed = client.of('transcribed');
    expect(transcribed.map(({ text }) => text).join(' ')).toBe(said(1, 32));
    expect(transcribed.length).toBeGreaterThan(1);
    const heard = client.of('heard').flatMap((event) => event.words);
    expect(heard.map(({ text }) => text.trim()).join(' ')).toBe(said(1, 32));
    expect(transcribed.flatMap((event) => event.words)).toEqual(heard);
    let at = 0;
    const starts: number[] = [];
    for (const [index, part] of parts.entries()) {
      if (index % 2 === 1)
        for (let from = at; from < at + part.length / 2; from += SLOT_SAMPLES) starts.push(from);
      at += part.length / 2;
    }
    expect(heard.map(({ startSample }) => startSample)).toEqual(starts);
    expect(heard.every((word) => word.endSample - word.startSample === WORD_SAMPLES)).toBe(true);

    const committed = client.of('committed');
    expect(committed[0]?.fromSample).toBe(0);
    for (const [index, next] of committed.slice(1).entries())
      expect(next.fromSample).toBe(committed[index]?.toSample);
    expect(committed.at(-1)).toMatchObject({ toSample: pcm.length / 2, cause: 'finish' });
    expect(client.of('error')).toEqual([]);
    expect(client.of('dropped')).toEqual([]);
    const booked = /voice_gateway_audio_seconds_total\{\w+="plain-listen"\} (\S+)/;
    const [, seconds] = booked.exec(await fleet.metrics()) ?? [];
    expect(Number(seconds)).toBeCloseTo(pcm.length / 2 / SAMPLE_RATE);
  });

  it('goes on when its worker is lost, and its client hears nothing of that', async () => {
    const client = await listener();
    client.speak(words(1, 4));
    await client.next('heard', 2);
    const lost = fleet.workers.findIndex((_, index) => (engines[index]?.openStreams ?? 0) > 0);
    await fleet.workers[lost]?.close();
    client.speak(words(5, 8));
    client.send({ kind: 'finalize', utteranceId: undefined });
    client.speak(words(9, 10));
    client.send({ kind: 'finalize', utteranceId: undefined });
    expect((await client.next('transcribed', 1)).text).toBe(said(9, 10));
    expect(client.of('transcribed')[0]?.text).toBe(said(1, 8));
    expect(client.of('error')).toEqual([]);
    expect(client.of('failed')).toEqual([]);
  });

  it('answers clients of OpenAI in speech, until somebody speaks into that', async () => {
    const socket = new JsonSocket(
      `ws://127.0.0.1:${fleet.gateways[0]?.port}/v1/realtime?model=gpt-realtime`,
      { headers: { authorization: `Bearer ${KEY}` } },
    );
    fleet.sockets.push(socket);
    await socket.next('session.created');
    const format = { type: 'audio/pcm', rate: 16_000 };
    const turn_detection = { type: 'server_vad', silence_duration_ms: 300 };
    const transcription = { model: 'whisper-1' };
    socket.send({
      type: 'session.update',
      session: {
        type: 'realtime',
        instructions: 'Be brief.',
        audio: { input: { format, turn_detection, transcription }, output: { voice: 'marin' } },
      },
    });
    await socket.next('session.updated');
    const say = (pcm: Buffer): void => {
      for (const frame of frames(Buffer.concat([pcm, silence(600)])))
        socket.send({ type: 'input_audio_buffer.append', audio: frame.toString('base64') });
    };
    const itemOf = (frame: JsonFrame): string =>
      (frame['response'] as { output: { id: string }[] }).output[0]?.id ?? '';

    turns.chat.next({ tokens: tokensOf(GREETING), gapMs: 5 });
    say(words(1, 3));
    const first = await socket.next('response.done');
    expect(first).toMatchObject({
      response: {
        status: 'completed',
        output: [{ content: [{ type: 'output_audio', transcript: GREETING }] }],
      },
    });
    expect(lastText(turns.chat.last)).toBe(said(1, 3));
    const heard = Buffer.concat(
      socket
        .of('response.output_audio.delta')
        .map(({ delta }) => Buffer.from(String(delta), 'base64')),
    );
    // 24 kHz, of a voice that takes 60 ms for a character.
    expect(heard.length / 48_000).toBeCloseTo(0.06 * (GREETING.length - 1), 0);
    const [user] = socket.of('conversation.item.input_audio_transcription.completed');
    socket.send({ type: 'conversation.item.retrieve', item_id: user?.['item_id'] });
    expect(await socket.next('conversation.item.retrieved')).toMatchObject({
      item: { role: 'user', content: [{ type: 'input_audio', transcript: said(1, 3) }] },
    });

    const truncated = { item_id: itemOf(first), content_index: 0, audio_end_ms: 1 };
    socket.send({ type: 'conversation.item.truncate', ...truncated });
    expect(await socket.next('conversation.item.truncated')).toMatchObject(truncated);
    turns.chat.next({ tokens: tokensOf('One. Two. Three. Four. Five.'), gapMs: 3_000 });
    say(words(4, 5));
    await until(
      () =>
        socket.of('response.output_audio_transcript.delta').some(({ delta }) => delta === 'One.'),
      'it answers',
    );
    // What was not heard is not known to have been said.
    expect(turns.chat.last.messages.map(({ content }) => content)).toEqual([
      'Be brief.',
      said(1, 3),
      said(4, 5),
    ]);

    turns.chat.next({ tokens: tokensOf('Yes.'), gapMs: 5 });
    say(words(6, 7));
    expect(await socket.next('response.done', 1)).toMatchObject({
      response: { status: 'cancelled', status_details: { reason: 'turn_detected' } },
    });
    expect(await socket.next('response.done', 2)).toMatchObject({
      response: { status: 'completed', output: [{ content: [{ transcript: 'Yes.' }] }] },
    });
    expect(socket.of('error')).toEqual([]);
  });
});
