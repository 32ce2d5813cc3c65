import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { audioChatAt } from '@voice-fleet/gateway/voice/audio-chat-client';
import { type ReplyChunk, ReplyOptions } from '@voice-fleet/protocol/chunk';
import { tokensOf } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { AudioChatRig, SPEECH, take, tone } from '../support/audio-chat.ts';
import { KEY } from '../support/fleet.ts';
import { quickest } from '../support/quickest.ts';
import { stopwatch } from '../support/stopwatch.ts';
import { until } from '../support/until.ts';

interface Refusal {
  readonly status: number;
  readonly error: { code: string; message: string; details: Record<string, unknown> };
}

async function refusal(answer: Promise<Response>): Promise<Refusal> {
  const response = await answer;
  expect(response.headers.get('content-type')).toMatch(/^application\/json/);
  return { status: response.status, ...((await response.json()) as Pick<Refusal, 'error'>) };
}

let rig: AudioChatRig;
beforeAll(async () => {
  rig = await AudioChatRig.start({
    VOXTRAL_CHAT_TIMEOUT_S: '0.6',
    VOXTRAL_CHAT_MAX_BYTES: '100000',
    VOXTRAL_CHAT_MAX_AUDIO_S: '2',
    VOXTRAL_CHAT_MAX_STREAMS: '2',
  });
});
afterAll(() => rig[Symbol.asyncDispose]());

/** Waits until no request is under way, so that the next one has a place. */
async function idle(): Promise<void> {
  await until(async () => /audio_replies_active 0/.test(await rig.metrics()), 'all has ended');
}

describe('C12: a model that hangs', () => {
  it.each([
    ['before its headers', [], { kind: 'silent', headers: false }],
    ['before its first word', [], { kind: 'silent' }],
    ['amid its reply', tokensOf('one two three four five six'), { kind: 'stall' }],
    ['in talking without end', tokensOf('one two three four'), { kind: 'endless' }],
  ] as const)(
    '%s is given up when the time is over, and its connection closed',
    async (_, tokens, fault) => {
      rig.chat.next({ tokens, fault, gapMs: 20 });
      const took = stopwatch();
      const chunks = await rig.chunks();
      const tookMs = took();
      const last = chunks.at(-1);
      expect(last).toMatchObject({
        success: false,
        text: "Sorry, I didn't understand that.",
        is_final: true,
        chunk_index: chunks.length - 1,
        error: 'The reply took too long.',
      });
      // Timers may come a millisecond early.
      expect(last?.processing_time_ms).toBeGreaterThanOrEqual(599);
      expect(tookMs).toBeLessThan(1_000);
      await rig.chat.last.exchange.closed;
      expect(rig.chat.last.exchange.abortedMs).toBeDefined();
    },
  );
});

describe('C9: without a chat model', () => {
  it('the request fails with 503, in JSON and with no chunk; so does one while llm-tts is away', async () => {
    await using bare = await AudioChatRig.start({ VOXTRAL_CHAT_BASE_URL: '' });
    const notConfigured = await refusal(bare.post());
    expect(notConfigured).toMatchObject({ status: 503, error: { code: 'model_load_failed' } });
    expect(notConfigured.error.message).toMatch(/No chat model/);
    await bare.service.close();
    const away = await bare.post();
    expect(away.headers.get('retry-after')).toBe('1');
    expect(await refusal(Promise.resolve(away))).toMatchObject({
      status: 503,
      error: { code: 'worker_unavailable' },
    });
  });

  it('the address of the language model is taken when it has none of its own', async () => {
    const { baseUrl } = rig.openai;
    await using other = await AudioChatRig.start({
      VOXTRAL_CHAT_BASE_URL: '',
      OPENAI_BASE_URL: baseUrl,
      OPENAI_API_KEY: 'llm-key',
      VOXTRAL_CHAT_MODEL: 'own/model',
    });
    rig.chat.next({ tokens: ['fine'] });
    expect(await other.chunks()).toMatchObject([{ success: true, text: 'fine' }]);
    expect(rig.chat.last.model).toBe('own/model');
    expect(rig.chat.last.exchange.headers.authorization).toBe('Bearer llm-key');
  });
});

describe('who may ask', () => {
  it.each([
    ['no key', {}, 401, 'authentication_failed'],
    ['a wrong key', { 'x-api-key': 'nobody' }, 401, 'authentication_failed'],
  ])('%s is refused before anything is carried', async (_, headers, status, code) => {
    const calls = rig.openai.exchanges.length;
    expect(await refusal(rig.post({}, { headers }))).toMatchObject({ status, error: { code } });
    expect(rig.openai.exchanges).toHaveLength(calls);
  });

  it('a bearer key is taken, and goes no further than the gateway', async () => {
    rig.chat.next({ tokens: ['fine'] });
    expect((await rig.post({}, { headers: { authorization: `Bearer ${KEY}` } })).status).toBe(200);
    expect(JSON.stringify(rig.chat.last.exchange.headers)).not.toContain(KEY);
  });

  it('more than there are places for are told to come back', async () => {
    await idle();
    const calls = rig.chat.calls.length;
    rig.chat.next(
      { tokens: [], fault: { kind: 'silent' } },
      { tokens: [], fault: { kind: 'silent' } },
    );
    const busy = [rig.chunks(), rig.chunks()];
    await until(() => rig.chat.calls.length === calls + 2, 'both are under way');
    const response = await rig.post();
    expect(response.headers.get('retry-after')).toBe('1');
    expect(await refusal(Promise.resolve(response))).toMatchObject({
      status: 503,
      error: { code: 'at_capacity' },
    });
    await Promise.all(busy);
    await idle();
    rig.chat.next({ tokens: ['fine'] });
    expect(await rig.chunks()).toMatchObject([{ text: 'fine' }]);
  });
});

describe('what is asked for', () => {
  it.each([
    ['mode', 'sing'],
    ['chunk_size_words', 0],
    ['chunk_size_words', 'four'],
    ['max_new_tokens', 1.5],
    ['temperature', 3],
    ['top_p', 0],
    ['stream', 'maybe'],
  ])('%s=%s is a 400 that names the field', async (field, value) => {
    const { status, error } = await refusal(rig.post({ [field]: value }));
    expect(status).toBe(400);
    expect(error.code).toBe('invalid_message');
    expect(Object.keys(error.details)).toEqual([field]);
  });

  it('a blank field has its default', async () => {
    await idle();
    rig.chat.next({ tokens: ['fine'] });
    await rig.chunks({ temperature: '', top_p: ' ' });
    expect(rig.chat.last.body).toMatchObject({ temperature: 0.7, top_p: 0.9 });
  });

  it.each([
    ['a field that is not known', { voice: 'alto' }, 400, 'invalid_message'],
    ['a value without end', { mode: 'x'.repeat(1_000) }, 400, 'invalid_message'],
    ['no file', { file: null }, 400, 'missing_audio'],
    ['the file under another name', { file: null, audio: SPEECH }, 400, 'invalid_message'],
    ['two files', { other: SPEECH }, 400, 'invalid_message'],
    ['a file too large', { file: Buffer.alloc(100_001) }, 413, 'message_too_large'],
    ['a body far too large', { file: Buffer.alloc(1_000_000) }, 413, 'message_too_large'],
    ['audio too long', { file: tone(32_001) }, 413, 'message_too_large'],
  ])('%s is refused', async (_, form, status, code) => {
    await idle();
    expect(await refusal(rig.post(form))).toMatchObject({ status, error: { code } });
  });

  it.each([
    ['JSON', 'application/json', '{}', 415],
    ['a form without a boundary', 'multipart/form-data', 'x', 400],
    [
      'a form that is cut off',
      'multipart/form-data; boundary=b',
      '--b\r\nContent-Disposition: fo',
      400,
    ],
    ['a form of nothing', 'multipart/form-data; boundary=b', '--b--\r\n', 400],
  ])('%s is refused', async (_, contentType, body, expected) => {
    await idle();
    const headers = { 'x-api-key': KEY, 'content-type': contentType };
    const { status, error } = await refusal(rig.post({}, { headers, body }));
    expect(status).toBe(expected);
    expect(error.code).toMatch(/^(?:unsupported_media_type|invalid_message|missing_audio)$/);
  });

  it('a body that is larger than it may be is stopped though it never said so', async () => {
    await idle();
    const pieces = (function* () {
      yield Buffer.from(
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n',
      );
      for (let count = 0; count < 400; count += 1) yield Buffer.alloc(1_000);
    })();
    const headers = { 'x-api-key': KEY, 'content-type': 'multipart/form-data; boundary=b' };
    // The gateway and the service both count; whichever is first says the same.
    const init = { headers, body: ReadableStream.from(pieces), duplex: 'half' };
    expect(await refusal(rig.post({}, init as RequestInit))).toMatchObject({
      status: 413,
      error: { code: 'message_too_large' },
    });
  });
});

describe('when an end goes', () => {
  it('a client that stops amid its upload leaves nothing behind', async () => {
    await idle();
    const url = new URL(rig.url);
    const request = httpRequest(url, {
      method: 'POST',
      headers: {
        'x-api-key': KEY,
        'content-type': 'multipart/form-data; boundary=b',
        'content-length': '50000',
      },
    });
    request.on('error', () => undefined);
    request.write('--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nRIFF');
    await until(async () => /audio_replies_active 1/.test(await rig.metrics()), 'it has come');
    request.destroy();
    await idle();
  });

  it('a request behind another one gives its place back when their connection is lost', async () => {
    await idle();
    const head = 'POST /v1/audio/chat HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; ';
    const body = `--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n`;
    const whole = `${body}${SPEECH.toString('latin1')}\r\n--b--\r\n`;
    const request = `${head}boundary=b\r\ncontent-length: ${whole.length}\r\n\r\n${whole}`;
    rig.chat.next(
      { tokens: [], fault: { kind: 'stall' } },
      { tokens: [], fault: { kind: 'stall' } },
    );
    const client = connect(rig.service.port, '127.0.0.1');
    client.write(request.repeat(2), 'latin1');
    await until(async () => /audio_replies_active 2/.test(await rig.metrics()), 'both have come');
    client.destroy();
    await idle();
  });

  it('a service that dies amid a reply cuts the stream: it does not look whole', async () => {
    await using dying = await AudioChatRig.start();
    dying.chat.next({ tokens: tokensOf('one two three four five six'), fault: { kind: 'stall' } });
    const stream = dying.stream();
    expect((await stream.next()).value).toMatchObject({ text: 'one two three four' });
    await dying.service.close();
    await expect(take(stream)).rejects.toThrow();
  });
});

describe('audioChatAt: what a session of the gateway asks', () => {
  const options = ReplyOptions.parse({ mode: 'transcribe', chunk_size_words: 2 });
  const { signal } = new AbortController();

  it('gives the chunks as they come', async () => {
    await idle();
    rig.chat.next({ tokens: tokensOf('one two three four'), gapMs: 5 });
    const chunks = await take(audioChatAt(rig.innerUrl).chatReply(SPEECH, options, signal));
    expect(chunks.map(({ text }) => text)).toEqual(['one two', ' three four']);
    expect(rig.chat.heard.at(-1)?.pcm).toHaveLength(32_000);
  });

  it('stops the model when its signal aborts, and when its reader stops', async () => {
    const leaveBy = async (leave: 'abort' | 'break'): Promise<number> => {
      await idle();
      rig.chat.next({ tokens: tokensOf('one two three four five'), fault: { kind: 'stall' } });
      const caller = new AbortController();
      const seen: ReplyChunk[] = [];
      let leftMs = 0;
      const reading = (async () => {
        for await (const chunk of audioChatAt(rig.innerUrl).chatReply(
          SPEECH,
          options,
          caller.signal,
        )) {
          seen.push(chunk);
          leftMs = performance.now();
          if (leave === 'break') break;
          caller.abort(new Error('barge-in'));
        }
      })();
      if (leave === 'abort') await expect(reading).rejects.toThrow('barge-in');
      else await reading;
      expect(seen).toHaveLength(1);
      await rig.chat.last.exchange.closed;
      return (rig.chat.last.exchange.abortedMs ?? Number.POSITIVE_INFINITY) - leftMs;
    };
    for (const leave of ['abort', 'break'] as const)
      expect(await quickest(100, () => leaveBy(leave))).toBeLessThan(100);
  });

  it('throws what the service refuses with, and that it cannot be reached', async () => {
    await idle();
    await expect(
      take(audioChatAt(rig.innerUrl).chatReply(tone(32_001), options, signal)),
    ).rejects.toMatchObject({ code: 'message_too_large' });
    await using bare = await AudioChatRig.start({ VOXTRAL_CHAT_BASE_URL: '' });
    await expect(
      take(audioChatAt(bare.innerUrl).chatReply(SPEECH, options, signal)),
    ).rejects.toMatchObject({ code: 'model_load_failed' });
    await bare.service.close();
    await expect(
      take(audioChatAt(bare.innerUrl).chatReply(SPEECH, options, signal)),
    ).rejects.toMatchObject({ code: 'worker_unavailable' });
  });

  it('knows a stream that was cut off', async () => {
    await using dying = await AudioChatRig.start();
    dying.chat.next({ tokens: tokensOf('one two three four five'), fault: { kind: 'stall' } });
    const stream = audioChatAt(dying.innerUrl).chatReply(SPEECH, options, signal);
    const reading = (async () => {
      for await (const _ of stream) await dying.service.close();
    })();
    await expect(reading).rejects.toMatchObject({ code: 'llm_failed' });
  });
});
