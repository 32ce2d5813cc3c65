import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, watch } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { AUDIO_CHAT_PATH } from '@voice-fleet/protocol/chunk';
import { FakeAudioChat } from '@voice-fleet/testkit/fake-openai/fake-audio-chat';
import { tokensOf } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { FakeOpenAi } from '@voice-fleet/testkit/fake-openai/fake-openai';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import { chunksOf, take, tone } from '../support/audio-chat.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { until } from '../support/until.ts';

/** Long, so that whoever put uploads into files would. */
const SPEECH = tone(20 * 16_000);

let folder: string;
let redis: TestRedis;
let openai: FakeOpenAi;
let service: ServiceProcess;
let url: string;
const chat = new FakeAudioChat();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'audio-chat-'));
  redis = await startRedis();
  openai = await FakeOpenAi.start({ chat });
  service = new ServiceProcess('llm-tts', {
    LLM_TTS_PORT: '0',
    LLM_TTS_BIND_HOST: '127.0.0.1',
    REDIS_URL: redis.url,
    VOXTRAL_CHAT_BASE_URL: openai.baseUrl,
    TMPDIR: folder,
    // Of the loader that compiles the service, whose files would be there too.
    TSX_DISABLE_CACHE: '1',
  });
  url = `http://127.0.0.1:${(await service.logged('listening'))['port']}${AUDIO_CHAT_PATH}`;
});
afterAll(async () => {
  await service?.[Symbol.asyncDispose]();
  await openai?.stop();
  await redis?.stop();
  rmSync(folder, { recursive: true });
});

function post(file: Buffer, signal?: AbortSignal): Promise<Response> {
  const body = new FormData();
  body.set('file', new Blob([new Uint8Array(file)]), 'a.wav');
  return fetch(url, { method: 'POST', body, ...(signal && { signal }) });
}

it('C13: nothing of a request is put into a temporary file, however it ends', async () => {
  // What the process takes for its folder of temporary files is what is looked at.
  const env = { ...process.env, TMPDIR: folder };
  const seen = execFileSync(process.execPath, ['-p', 'os.tmpdir()'], { env, encoding: 'utf8' });
  expect(seen.trim()).toBe(folder);
  const before = readdirSync(folder);
  const made: string[] = [];
  const watcher = watch(folder, (_, name) => void made.push(String(name)));

  chat.next({ tokens: tokensOf('one two three') });
  expect(await take(chunksOf(await post(SPEECH)))).toMatchObject([{ success: true }]);
  chat.next({ tokens: [], fault: { kind: 'error', status: 500 } });
  expect(await take(chunksOf(await post(SPEECH)))).toMatchObject([{ success: false }]);
  for (const file of [tone(16_000, 0), Buffer.alloc(1_000_000, 'no audio')])
    expect(await take(chunksOf(await post(file)))).toMatchObject([{ success: false }]);
  expect((await post(Buffer.alloc(11_000_000))).status).toBe(413);

  chat.next({ tokens: tokensOf('one two three four five six'), fault: { kind: 'stall' } });
  const leaving = new AbortController();
  const stream = chunksOf(await post(SPEECH, leaving.signal));
  await stream.next();
  leaving.abort();
  await chat.last.exchange.closed;

  const uploading = httpRequest(url, {
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data; boundary=b', 'content-length': '5000000' },
  });
  uploading.on('error', () => undefined);
  uploading.write('--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n');
  await new Promise((resolve) => uploading.write(SPEECH, resolve));
  uploading.destroy();

  // A last request, so that all before it has been dealt with.
  chat.next({ tokens: ['fine'] });
  expect(await take(chunksOf(await post(SPEECH)))).toMatchObject([{ text: 'fine' }]);
  await until(
    () => service.lines.filter(({ event }) => event === 'audio_reply').length >= 6,
    'each was told of in the log',
  );
  watcher.close();
  expect(made).toEqual([]);
  expect(readdirSync(folder)).toEqual(before);
});
