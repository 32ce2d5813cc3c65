import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { resample } from '@voice-fleet/speech/resample';
import { frames, range, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet, KEY } from '../support/fleet.ts';
import { JsonSocket } from '../support/json-socket.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';

const LOUD = 3_000;
const COMPLETED = 'conversation.item.input_audio_transcription.completed';
const SECOND_BYTES = 32_000;

type Json = Readonly<Record<string, unknown>>;

let fleet: Fleet;

beforeAll(async () => {
  fleet = await Fleet.start([new ScriptedEngine({ slots: 16 })]);
});
afterAll(() => fleet[Symbol.asyncDispose]());

interface Dial {
  readonly query?: string;
  readonly key?: string;
  readonly headers?: Record<string, string>;
  readonly protocols?: string[];
}

function dial({ query = '', key = KEY, headers = {}, protocols = [] }: Dial = {}): JsonSocket {
  const url = `ws://127.0.0.1:${fleet.gateways[0]?.port}/v1/realtime${query}`;
  const carried = protocols.length === 0 ? { authorization: `Bearer ${key}` } : {};
  const socket = new JsonSocket(url, { headers: { ...carried, ...headers }, protocols });
  fleet.sockets.push(socket);
  return socket;
}

async function greeted(options: Dial = {}): Promise<JsonSocket> {
  const socket = dial(options);
  await socket.next('session.created');
  return socket;
}

const said = (from: number, to: number): Buffer => speak(range(LOUD + from, LOUD + to));
const text = (from: number, to: number): string => transcript(range(LOUD + from, LOUD + to));

function append(socket: JsonSocket, pcm: Buffer): void {
  for (const frame of frames(pcm))
    socket.send({ type: 'input_audio_buffer.append', audio: frame.toString('base64') });
}

function configure(socket: JsonSocket, input: object): void {
  const format = { type: 'audio/pcm', rate: 16_000 };
  const session = { type: 'transcription', audio: { input: { format, ...input } } };
  socket.send({ type: 'session.update', session });
}

/** At 24 kHz. */
function faster(pcm: Buffer): Buffer {
  const samples = Int16Array.from({ length: pcm.length / 2 }, (_, at) => pcm.readInt16LE(at * 2));
  const out = resample(samples, 16_000, 24_000);
  return Buffer.from(out.buffer, out.byteOffset, out.byteLength);
}

describe('a transcription session of OpenAI', () => {
  it('is cut where its speaker pauses', async () => {
    const socket = await greeted({ query: '?intent=transcription' });
    configure(socket, { turn_detection: { type: 'server_vad', silence_duration_ms: 300 } });
    await socket.next('session.updated');
    append(socket, Buffer.concat([said(1, 3), silence(800), said(4, 5), silence(800)]));
    await socket.next(COMPLETED, 1);
    expect(socket.of(COMPLETED).map((frame) => frame['transcript'])).toEqual([
      text(1, 3),
      text(4, 5),
    ]);
    const [first, second] = socket.of('input_audio_buffer.committed');
    expect([first?.['previous_item_id'], second?.['previous_item_id']]).toEqual([
      null,
      first?.['item_id'],
    ]);
    expect(socket.of('input_audio_buffer.speech_started').length).toBeGreaterThanOrEqual(2);
    expect(socket.of('input_audio_buffer.speech_stopped').length).toBeGreaterThanOrEqual(2);
    expect(socket.of('error')).toEqual([]);
  });

  it('is ended by its client, at 24 kHz unless it says otherwise', async () => {
    const socket = await greeted({ query: '?intent=transcription' });
    const input = { turn_detection: null };
    socket.send({ type: 'session.update', session: { type: 'transcription', audio: { input } } });
    append(socket, faster(said(1, 4)));
    socket.send({ type: 'input_audio_buffer.commit' });
    expect(await socket.next(COMPLETED)).toMatchObject({
      transcript: text(1, 4),
      usage: { type: 'duration', seconds: expect.any(Number) },
    });
    const deltas = socket.of('conversation.item.input_audio_transcription.delta');
    expect(deltas.map((frame) => frame['delta']).join('')).toBe(text(1, 4));
    socket.send({ type: 'input_audio_buffer.commit', event_id: 'second' });
    expect(await socket.next('error')).toMatchObject({
      error: { code: 'input_audio_buffer_commit_empty', event_id: 'second' },
    });
  });

  it('lets go of what its client clears, and goes on', async () => {
    const socket = await greeted({ query: '?intent=transcription' });
    configure(socket, { turn_detection: null });
    append(socket, said(1, 2));
    socket.send({ type: 'input_audio_buffer.clear' });
    await socket.next('input_audio_buffer.cleared');
    append(socket, said(3, 4));
    socket.send({ type: 'input_audio_buffer.commit' });
    expect(await socket.next(COMPLETED)).toMatchObject({ transcript: text(3, 4) });
    expect(socket.of(COMPLETED)).toHaveLength(1);
  });

  it('is opened by browsers with a key among the subprotocols, of which that is not answered', async () => {
    const socket = await greeted({
      protocols: ['realtime', `openai-insecure-api-key.${KEY}`],
    });
    expect(socket.protocol).toBe('realtime');
  });

  it('is refused in the words of OpenAI', async () => {
    const socket = dial({ query: '?intent=transcription', key: 'wrong' });
    await socket.answered();
    expect(socket.refused).toMatchObject({
      status: 401,
      body: { error: { type: 'invalid_request_error', code: 'invalid_api_key', param: null } },
    });
  });
});

describe('one path for two protocols', () => {
  it('serves seven openings at once, each in its own', async () => {
    const vllm = { type: 'session.update', model: 'scripted-model' };
    const openAi = (input: object) => ({
      type: 'session.update',
      session: {
        type: 'transcription',
        audio: { input: { format: { type: 'audio/pcm', rate: 16_000 }, ...input } },
      },
    });
    const manual = openAi({ turn_detection: null });
    const commit = { type: 'input_audio_buffer.commit' };
    const openings: [Dial, readonly object[], object, string][] = [
      [{ query: '?intent=transcription' }, [manual], commit, COMPLETED],
      [
        { headers: { 'user-agent': 'OpenAI/JS 7.55.0' }, query: '?model=scripted-model' },
        [manual],
        commit,
        COMPLETED,
      ],
      [{ protocols: ['realtime', `openai-insecure-api-key.${KEY}`] }, [manual], commit, COMPLETED],
      [{ query: '?model=scripted-model' }, [manual], commit, COMPLETED],
      [{}, [{ ...manual, event_id: 'e' }], commit, COMPLETED],
      [{}, [vllm, commit], { ...commit, final: true }, 'transcription.done'],
      [{ query: '?dialect=vllm' }, [vllm], { ...commit, final: true }, 'transcription.done'],
    ];
    const told = await Promise.all(
      openings.map(async ([how, first, last, answer], index) => {
        const socket = await greeted(how);
        for (const frame of first) socket.send(frame);
        append(socket, said(10 * index + 1, 10 * index + 5));
        socket.send(last);
        const frame = await socket.next(answer);
        expect(socket.of('error')).toEqual([]);
        return String(frame['transcript'] ?? frame['text']).trim();
      }),
    );
    expect(told).toEqual(openings.map((_, index) => text(10 * index + 1, 10 * index + 5)));
  });

  it('takes who sends audio alone for a client of OpenAI', async () => {
    const socket = await greeted();
    append(socket, faster(Buffer.concat([said(1, 3), Buffer.alloc(2 * SECOND_BYTES)])));
    expect(await socket.next(COMPLETED)).toMatchObject({ transcript: text(1, 3) });
  });
});

describe('a client secret', () => {
  async function mint(body: unknown, key = KEY): Promise<{ status: number; body: Json }> {
    const url = `http://127.0.0.1:${fleet.gateways[0]?.port}/v1/realtime/client_secrets`;
    const answer = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: answer.status, body: (await answer.json()) as Json };
  }

  it('opens the session that it was made for, as a browser dials', async () => {
    const input = { format: { type: 'audio/pcm', rate: 16_000 }, turn_detection: null };
    const secret = await mint({
      expires_after: { anchor: 'created_at', seconds: 60 },
      session: { type: 'transcription', audio: { input } },
    });
    expect(secret).toMatchObject({
      status: 200,
      body: {
        value: expect.stringMatching(/^ek_/),
        expires_at: expect.any(Number),
        session: { type: 'transcription', audio: { input } },
      },
    });
    const protocols = ['realtime', `openai-insecure-api-key.${String(secret.body['value'])}`];
    const socket = dial({ protocols });
    expect(await socket.next('session.created')).toMatchObject({ session: { audio: { input } } });
    append(socket, said(1, 3));
    socket.send({ type: 'input_audio_buffer.commit' });
    expect(await socket.next(COMPLETED)).toMatchObject({ transcript: text(1, 3) });
  });

  it('is not made for a session that cannot be served, or with a wrong key', async () => {
    const input = { format: { type: 'audio/pcm', rate: 44_100 } };
    expect(await mint({ session: { type: 'transcription', audio: { input } } })).toMatchObject({
      status: 400,
      body: { error: { code: 'unsupported_sample_rate' } },
    });
    expect(await mint({}, 'wrong')).toMatchObject({
      status: 401,
      body: { error: { code: 'invalid_api_key' } },
    });
  });
});
