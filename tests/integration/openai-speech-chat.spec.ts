import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CHAT_COMPLETIONS_PATH, SPEECH_PATH } from '@voice-fleet/protocol/openai-rest';
import { tokensOf } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { FakeSpeech, toneFor } from '@voice-fleet/testkit/fake-openai/fake-speech';
import { Fleet, KEY } from '../support/fleet.ts';
import { Turns } from '../support/turns.ts';
import { until } from '../support/until.ts';

const UPSTREAM_KEY = 'sk-upstream';
let fleet: Fleet;
let turns: Turns;
let speech: FakeSpeech;
let base: string;

beforeAll(async () => {
  fleet = await Fleet.start([]);
  speech = new FakeSpeech();
  turns = await Turns.start({
    redis: fleet.redis,
    speech,
    env: {
      OPENAI_MODEL: 'tiny',
      OPENAI_API_KEY: UPSTREAM_KEY,
      VOXTRAL_CHAT_MODEL: 'listener',
      TTS_MODEL: 'talker',
      MODEL_ALIASES: '{"our-voice": "talker", "our-chat": "tiny"}',
      FFMPEG_BIN: '/nowhere/ffmpeg',
    },
  });
  const gateway = await fleet.addGateway({ LLM_TTS_URL: turns.url });
  base = `http://127.0.0.1:${gateway.port}`;
});
afterAll(async () => {
  await turns[Symbol.asyncDispose]();
  await fleet[Symbol.asyncDispose]();
});

function post(path: string, body: object, init: RequestInit = {}): Promise<Response> {
  return fetch(`${base}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...init,
  });
}

const say = (body: object, init?: RequestInit): Promise<Response> =>
  post(SPEECH_PATH, { model: 'tts-1', voice: 'alloy', input: 'Good morning.', ...body }, init);

const chat = (body: object, init?: RequestInit): Promise<Response> =>
  post(
    CHAT_COMPLETIONS_PATH,
    { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello there' }], ...body },
    init,
  );

interface Failure {
  readonly error: { readonly code: string; readonly message: string };
}

async function refusal(response: Promise<Response>): Promise<[number, string]> {
  const { status, json } = await response.then(async (answer) => ({
    status: answer.status,
    json: (await answer.json()) as Failure,
  }));
  return [status, json.error.code];
}

/** The events of a stream, and how it ended. */
async function events(response: Response): Promise<unknown[]> {
  return (await response.text())
    .split('\n\n')
    .filter((block) => block.startsWith('data: '))
    .map((block) => block.slice(6))
    .map((data) => (data === '[DONE]' ? data : (JSON.parse(data) as unknown)));
}

describe('GET /v1/models', () => {
  const get = (path: string): Promise<Response> =>
    fetch(`${base}${path}`, { headers: { authorization: `Bearer ${KEY}` } });

  it('lists what chats before what speaks, and none twice', async () => {
    const { object, data } = (await (await get('/v1/models')).json()) as {
      object: string;
      data: { id: string; object: string; created: number; owned_by: string }[];
    };
    expect(object).toBe('list');
    expect(data.map(({ id }) => id)).toEqual(['tiny', 'listener', 'builtin-rules', 'talker']);
    for (const model of data)
      expect(model).toMatchObject({ object: 'model', created: expect.any(Number) });
    expect(await (await get('/v1/models/talker')).json()).toEqual(data[3]);
  });
});

describe('POST /v1/audio/speech', () => {
  it('answers headerless 24 kHz PCM of all that was to be said, with the voice and manner asked for', async () => {
    speech.calls.length = 0;
    const input = 'Good morning. The train leaves at nine.';
    const answer = await say({
      model: 'our-voice',
      input,
      voice: { id: 'echo' },
      instructions: 'Whisper.',
      response_format: 'pcm',
    });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'audio/pcm']);
    const pcm = Buffer.from(await answer.arrayBuffer());
    const spoken = ['Good morning.', 'The train leaves at nine.'].map(toneFor);
    expect(pcm.length).toBe(spoken.reduce((sum, { length }) => sum + length, 0));
    expect(
      speech.calls.map(({ input: text, voice, body }) => [text, voice, body['instructions']]),
    ).toEqual([
      ['Good morning.', 'echo', 'Whisper.'],
      ['The train leaves at nine.', 'echo', 'Whisper.'],
    ]);
  });

  it('answers mp3 where no format is named, and twice the speed is half as long', async () => {
    const mp3 = await say({});
    expect(mp3.headers.get('content-type')).toBe('audio/mpeg');
    expect(Buffer.from(await mp3.arrayBuffer()).readUInt16BE(0) >> 5).toBe(0x7ff);
    const fast = await say({ response_format: 'pcm', speed: 2 });
    const length = Buffer.from(await fast.arrayBuffer()).length;
    expect(Math.abs(length - toneFor('Good morning.').length / 2)).toBeLessThanOrEqual(2);
  });

  it('takes null for what is left out', async () => {
    const nothing = { voice: null, instructions: null, speed: null, stream_format: null };
    const answer = await say({ ...nothing, response_format: null });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'audio/mpeg']);
    await answer.body?.cancel();
  });

  it('sends what is spoken while the rest is not, and stops when its client goes', async () => {
    speech.calls.length = 0;
    speech.reply = ({ input }) => (input.startsWith('Two') ? { fault: { kind: 'hang' } } : {});
    const client = new AbortController();
    const answer = await say(
      { input: 'One is this. Two is that.', response_format: 'wav' },
      { signal: client.signal },
    );
    const reader = answer.body?.getReader();
    const first = await reader?.read();
    expect(Buffer.from(first?.value ?? []).toString('latin1', 0, 4)).toBe('RIFF');
    await until(() => speech.calls.length === 2, 'the second phrase to be asked for');
    client.abort();
    await speech.calls[1]?.exchange.closed;
    speech.reply = () => ({});
    await until(
      async () => (await turns.metrics()).includes('voice_llm_tts_api_requests_active 0'),
      'the request to be over',
    );
    expect(await turns.metrics()).toContain(
      'voice_llm_tts_api_requests_total{route="speech",outcome="cancelled"} 1',
    );
  });

  it('answers as events, the last of which tells what was used', async () => {
    const answer = await say({ response_format: 'pcm', stream_format: 'sse' });
    expect(answer.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const told = (await events(answer)) as { type: string; audio?: string; usage?: object }[];
    const audio = told.filter(({ type }) => type === 'speech.audio.delta');
    const bytes = audio.map((event) => Buffer.from(event.audio ?? '', 'base64'));
    expect(Buffer.concat(bytes).length).toBe(toneFor('Good morning.').length);
    expect(told.at(-1)).toMatchObject({ type: 'speech.audio.done', usage: { input_tokens: 2 } });
  });

  it('leaves nothing out: what fails before sound is an error, and later the sound is cut off', async () => {
    speech.next({ fault: { kind: 'error', status: 500 } });
    expect(await refusal(say({}))).toEqual([502, 'tts_failed']);
    speech.reply = ({ input }) =>
      input.startsWith('Two') ? { fault: { kind: 'error', status: 500 } } : {};
    const cut = await say({ input: 'One is this. Two is that.', response_format: 'pcm' });
    await expect(cut.arrayBuffer()).rejects.toThrow();
    const told = await say({ input: 'One is this. Two is that.', stream_format: 'sse' });
    expect((await events(told)).at(-1)).toMatchObject({ error: { code: 'tts_failed' } });
    speech.reply = () => ({});
  });

  it('refuses what it cannot do, in a way that says so', async () => {
    const wrongKey = {
      headers: { authorization: 'Bearer no', 'content-type': 'application/json' },
    };
    expect(await refusal(say({}, wrongKey))).toEqual([401, 'invalid_api_key']);
    expect(await refusal(say({ model: 'nobody' }))).toEqual([404, 'model_not_found']);
    expect(await refusal(say({ input: 'x'.repeat(4097) }))).toEqual([400, 'invalid_message']);
    expect(await refusal(say({ input: '🎉' }))).toEqual([400, 'invalid_message']);
    expect(await refusal(say({ speed: 9 }))).toEqual([400, 'invalid_message']);
    expect(await refusal(say({ response_format: 'ogg' }))).toEqual([400, 'invalid_message']);
    expect(await refusal(say({ response_format: 'aac' }))).toEqual([400, 'unsupported_format']);
    const asText = { headers: { authorization: `Bearer ${KEY}`, 'content-type': 'text/plain' } };
    expect(await refusal(say({}, asText))).toEqual([415, 'unsupported_media_type']);
    expect(await refusal(say({ instructions: 'x'.repeat(200_000) }))).toEqual([
      413,
      'message_too_large',
    ]);
  });
});

describe('POST /v1/chat/completions', () => {
  it('carries a stream of the configured model, with its own key and name, and the usage asked for', async () => {
    turns.chat.next({ tokens: tokensOf('Good day to you.') });
    const answer = await chat({
      model: 'our-chat',
      stream: true,
      stream_options: { include_usage: true },
      tools: [{ type: 'function', function: { name: 'f' } }],
    });
    expect(answer.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const chunks = (await events(answer)) as {
      model: string;
      choices: { delta: { content?: string } }[];
      usage?: object;
    }[];
    const text = chunks.slice(0, -1).map(({ choices: [choice] }) => choice?.delta.content ?? '');
    expect(text.join('')).toBe('Good day to you.');
    expect(chunks.at(-1)).toBe('[DONE]');
    expect(chunks.at(-2)).toMatchObject({ choices: [], usage: { completion_tokens: 4 } });
    const { body, exchange } = turns.chat.last;
    expect(exchange.headers.authorization).toBe(`Bearer ${UPSTREAM_KEY}`);
    expect(body).toMatchObject({ model: 'tiny', tools: [{ type: 'function' }] });
  });

  it('sends audio to the model that listens', async () => {
    const part = { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } };
    const messages = [{ role: 'user', content: [part] }];
    turns.chat.next({ tokens: ['Yes.'] });
    const answer = await chat({ messages });
    expect(await answer.json()).toMatchObject({
      object: 'chat.completion',
      choices: [{ message: { content: 'Yes.' } }],
    });
    expect(turns.chat.last.body).toMatchObject({ model: 'listener', messages });
  });

  it('has the rules answer to their own name, which says that they are no model', async () => {
    const asked = {
      model: 'builtin-rules',
      messages: [{ role: 'user', content: 'What is two plus two?' }],
    };
    const whole = (await (await chat(asked)).json()) as {
      model: string;
      choices: { message: { content: string } }[];
    };
    expect(whole.model).toBe('builtin-rules');
    expect(whole.choices[0]?.message.content).toMatch(/four|4/i);
    const streamed = await events(
      await chat({ ...asked, stream: true, stream_options: { include_usage: true } }),
    );
    expect(streamed.at(-1)).toBe('[DONE]');
    expect(streamed.at(-2)).toMatchObject({ choices: [], usage: { prompt_tokens: 5 } });
    expect(streamed[0]).toMatchObject({ model: 'builtin-rules', object: 'chat.completion.chunk' });
  });

  it('tells what the model refuses, when to come again, and nothing of its key', async () => {
    const fault = (status: number, message: string) =>
      turns.chat.next({ tokens: [], fault: { kind: 'error', status, message, retryAfterS: 90 } });
    fault(400, `messages too long for ${UPSTREAM_KEY}`);
    const refused = await chat({});
    const text = await refused.text();
    expect([refused.status, text]).toEqual([400, expect.stringContaining('messages too long')]);
    expect(text).not.toContain(UPSTREAM_KEY);
    fault(429, 'slow down');
    const later = await chat({});
    expect([later.status, later.headers.get('retry-after')]).toEqual([503, '60']);
    fault(401, 'bad key');
    expect(await refusal(chat({}))).toEqual([502, 'llm_failed']);
    expect(await refusal(chat({ model: 'nobody' }))).toEqual([404, 'model_not_found']);
    expect(await refusal(chat({ messages: [] }))).toEqual([400, 'invalid_message']);
  });

  it('cuts off what the model cut off', async () => {
    turns.chat.next({ tokens: ['One'], fault: { kind: 'cut' } });
    const answer = await chat({ stream: true });
    await expect(answer.text()).rejects.toThrow();
  });
});
