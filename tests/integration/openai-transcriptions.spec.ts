import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { range, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet, KEY } from '../support/fleet.ts';
import { form, wav } from '../support/recordings.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';

const WORDS = range(1, 5);
/** Of the scripted engine. */
const MODEL = 'scripted-model';

describe('POST /v1/audio/transcriptions', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start([new ScriptedEngine()], {
      MODEL_ALIASES: JSON.stringify({ 'house/ears': MODEL, gone: 'nowhere' }),
    });
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  async function ask(
    fields: readonly (readonly [string, string])[],
    { path = '/v1/audio/transcriptions', key = KEY, recording = wav(WORDS) } = {},
  ): Promise<Response> {
    const body = form(recording);
    body.append('model', 'whisper-1');
    for (const [name, value] of fields) body.append(name, value);
    const headers = { Authorization: `Bearer ${key}` };
    const url = `http://127.0.0.1:${fleet.gateways[0]?.port}${path}`;
    return fetch(url, { method: 'POST', body, headers });
  }

  it('answers the text and how long the recording was, under a name of its own', async () => {
    const answer = await ask([]);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([
      200,
      'application/json; charset=utf-8',
    ]);
    expect(await answer.json()).toEqual({
      text: transcript(WORDS),
      usage: { type: 'duration', seconds: 2 },
    });
    expect(answer.headers.get('x-request-id')).toMatch(/^[\w-]{8,}$/);
  });

  it.each([
    ['text', /^text\/plain/, /^w1 w2 w3 w4 w5$/],
    ['srt', /^text\/plain/, /^1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\nw1 w2 w3 w4 w5\n$/],
    ['vtt', /^text\/plain/, /^WEBVTT\n\n00:00:0\d\.\d{3} --> 00:00:0\d\.\d{3}\nw1 w2 w3 w4 w5\n$/],
  ])('answers %s as plain text', async (format, type, body) => {
    const answer = await ask([['response_format', format]]);
    expect(answer.headers.get('content-type')).toMatch(type);
    expect(await answer.text()).toMatch(body);
  });

  it('answers verbose_json with the time of each word, where brackets ask for it', async () => {
    const answer = await ask([
      ['response_format', 'verbose_json'],
      ['timestamp_granularities[]', 'word'],
      ['timestamp_granularities[]', 'segment'],
      ['language', 'en'],
    ]);
    const body = (await answer.json()) as {
      duration: unknown;
      segments: { text: string }[];
      words: { word: string; start: number; end: number }[];
    };
    expect(body).toMatchObject({ task: 'transcribe', language: 'english', duration: 2 });
    expect(body.segments.map(({ text }) => text.trim())).toEqual([transcript(WORDS)]);
    expect(body.words.map(({ word }) => word)).toEqual(WORDS.map((word) => `w${word}`));
    // Each was said within its slot of 400 ms, as far as frames tell.
    for (const [index, { start, end }] of body.words.entries()) {
      expect(Math.abs(start - index * 0.4)).toBeLessThanOrEqual(0.2);
      expect(end).toBeGreaterThan(start);
    }
  });

  it('tells words as they come, and then all of them', async () => {
    const answer = await ask([['stream', 'true']]);
    expect(answer.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const lines = (await answer.text()).split('\n\n').filter((line) => line !== '');
    expect(lines.pop()).toBe('data: [DONE]');
    const events = lines.map(
      (line) => JSON.parse(line.replace(/^data: /, '')) as { type: string; delta?: string },
    );
    const done = events.pop();
    expect(done).toMatchObject({
      type: 'transcript.text.done',
      text: transcript(WORDS),
      usage: { type: 'tokens', total_tokens: expect.any(Number) },
    });
    expect(events.every(({ type }) => type === 'transcript.text.delta')).toBe(true);
    expect(events.length).toBeGreaterThan(0);
    expect(events.map(({ delta }) => delta).join('')).toBe(transcript(WORDS));
  });

  it('ignores fields of newer models', async () => {
    const answer = await ask([
      ['chunking_strategy', 'auto'],
      ['include[]', 'logprobs'],
      ['known_speaker_references[]', 'data:audio/wav;base64,'.padEnd(20_000, 'A')],
      ['keywords[]', 'fleet'],
      ['temperature', '0'],
    ]);
    expect([answer.status, ((await answer.json()) as { text: string }).text]).toEqual([
      200,
      transcript(WORDS),
    ]);
  });

  it.each([
    ['response_format', 'diarized_json', 'Speakers'],
    ['response_format', 'docx', 'no such'],
    ['timestamp_granularities[]', 'syllable', 'segment or word'],
    ['stream', 'perhaps', 'true or false'],
  ])('refuses %s=%s, and says what it takes', async (field, value, why) => {
    const answer = await ask([[field, value]]);
    expect([answer.status, await answer.json()]).toEqual([
      400,
      {
        error: {
          message: expect.stringContaining(why),
          type: 'invalid_request_error',
          param: field.replace('[]', ''),
          code: 'invalid_message',
          details: { param: field.replace('[]', '') },
        },
      },
    ]);
  });

  it('refuses to stream subtitles, and to translate', async () => {
    const subtitles = await ask([
      ['response_format', 'srt'],
      ['stream', 'true'],
    ]);
    const translated = await ask([], { path: '/v1/audio/translations' });
    expect([subtitles.status, translated.status]).toEqual([400, 400]);
    expect(await translated.text()).toContain('Nothing is translated');
  });

  it('takes aliases, and names of vendors, for what is served', async () => {
    for (const model of ['house/ears', 'gpt-4o-transcribe'])
      expect((await ask([['model', model]])).status).toBe(200);
    expect((await ask([['model', 'house/eyes']])).status).toBe(404);
  });

  it('lists models by all their names, also those with slashes', async () => {
    const get = async (path: string): Promise<unknown> => {
      const headers = { Authorization: `Bearer ${KEY}` };
      return (
        await fetch(`http://127.0.0.1:${fleet.gateways[0]?.port}${path}`, { headers })
      ).json();
    };
    const { data } = (await get('/v1/models')) as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual([MODEL, 'house/ears']);
    const one = { id: 'house/ears', object: 'model', owned_by: 'voice-fleet' };
    expect(await get('/v1/models/house%2Fears')).toMatchObject(one);
    expect(await get('/v1/models/house/ears')).toMatchObject(one);
    expect(await get('/v1/models/house%2Feyes')).toMatchObject({
      error: { code: 'model_not_found', param: 'model' },
    });
  });

  it('refuses a wrong key in the words of OpenAI', async () => {
    const answer = await ask([], { key: 'wrong' });
    expect([answer.status, await answer.json()]).toMatchObject([
      401,
      { error: { type: 'invalid_request_error', code: 'invalid_api_key', param: null } },
    ]);
    expect(answer.headers.get('x-request-id')).toMatch(/^[\w-]{8,}$/);
  });
});
