import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writeWav } from '@voice-fleet/speech/wav';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { DEFAULT_MODEL } from '@voice-fleet/testkit/fake-vllm/options';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import { Redis } from 'ioredis';
import { OtlpReceiver, type SeenSpan } from '../support/otlp-receiver.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { until } from '../support/until.ts';
import { VoiceSocket } from '../support/voice-socket.ts';

const KEY = 'planted-key-7f3a9c51e0';
/** As it is written, and as coded speech is heard that says it. */
const CARD = '4929123456789012';
const SPOKEN_CARD = [4929, 1234, 5678, 9012];
const SECRETS = [KEY, CARD, transcript(SPOKEN_CARD), 'w4929'];
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const CLIENT_SPAN = '00f067aa0ba902b7';
const PATIENCE_MS = 60_000;

let redis: TestRedis;
let receiver: OtlpReceiver;
let folder: string;
const services: Record<string, ServiceProcess> = {};
let origin: string;

/** Every service a process, in front of a fake vLLM, all of them traced. */
beforeAll(async () => {
  redis = await startRedis();
  receiver = await OtlpReceiver.start();
  folder = await mkdtemp(join(tmpdir(), 'vf-traces-'));
  const common = { ...receiver.env, REDIS_URL: redis.url, LOG_LEVEL: 'info' };
  const start = (
    name: ConstructorParameters<typeof ServiceProcess>[0],
    env: Record<string, string>,
  ): ServiceProcess => {
    const service = new ServiceProcess(name, { ...common, ...env });
    services[name] = service;
    return service;
  };
  const vllm = start('vllm', {});
  const llmTts = start('llm-tts', {});
  const { port: vllmPort } = await vllm.logged('listening');
  start('asr-worker', {
    ASR_ENGINE: 'vllm',
    VLLM_BASE_URL: `http://127.0.0.1:${String(vllmPort)}`,
    VOXTRAL_SERVED_MODEL_NAME: DEFAULT_MODEL,
    WORKER_HOST: '127.0.0.1',
    BATCH_JOBS_MAX: '1',
    JOBS_DIR: folder,
    WORKER_DRAIN_S: '1',
  });
  const { port: ttsPort } = await llmTts.logged('listening');
  const gateway = start('gateway', {
    VOXTRAL_API_KEY: KEY,
    JOBS_DIR: folder,
    LLM_TTS_URL: `http://127.0.0.1:${String(ttsPort)}`,
  });
  const { port } = await gateway.logged('listening');
  origin = `127.0.0.1:${String(port)}`;
  const ready = async (): Promise<boolean> => (await fetch(`http://${origin}/readyz`)).ok;
  await until(ready, 'the fleet is ready', PATIENCE_MS);
}, 120_000);
afterAll(async () => {
  await Promise.all(Object.values(services).map((service) => service[Symbol.asyncDispose]()));
  await receiver?.[Symbol.asyncDispose]();
  await redis?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function span(
  service: string,
  name: string,
  fits: (span: SeenSpan) => boolean = () => true,
): Promise<SeenSpan> {
  const find = (): SeenSpan | undefined => receiver.of(service, name).find(fits);
  await until(() => find() !== undefined, `${service} has sent ${name}`, 20_000);
  return find() as SeenSpan;
}

describe('the traces of a fleet', () => {
  it('follow an utterance from its socket through every service to its reply', async () => {
    const client = new VoiceSocket(`ws://${origin}/ws?api_key=${KEY}`, {
      traceparent: `00-${TRACE}-${CLIENT_SPAN}-01`,
    });
    await client.next('info');
    client.say(speak([...range(1, 4), ...SPOKEN_CARD]), { endpointing: false, report: true });
    await client.next('tts_complete');
    client.send({ type: 'end' });
    await client.closed;

    const accept = await span('gateway', 'accept');
    const admit = await span('gateway', 'admit');
    const utterance = await span('gateway', 'utterance');
    const link = await span('asr-worker', 'accept');
    const heard = await span('asr-worker', 'speech_to_text');
    const inferred = await span('vllm', 'speech_to_text');
    const chat = await span('llm-tts', 'chat');
    const speech = await span('llm-tts', 'text_to_speech');
    const all = [accept, admit, utterance, link, heard, inferred, chat, speech];
    expect(new Set(all.map(({ traceId }) => traceId))).toEqual(new Set([TRACE]));
    expect(accept.parentId).toBe(CLIENT_SPAN);
    expect(admit.parentId).toBe(accept.spanId);
    expect(link.parentId).toBe(admit.spanId);
    expect(utterance.parentId).toBe(accept.spanId);
    expect(heard.parentId).toBe(utterance.spanId);
    expect(inferred.parentId).toBe(heard.spanId);
    expect(chat.parentId).toBe(utterance.spanId);
    expect(speech.parentId).toBe(utterance.spanId);
    expect(utterance.events).toEqual(['first_partial', 'first_token', 'first_audio']);
    expect(heard.events).toContain('first_partial');

    // The client, the log and the span tell the same numbers.
    const [report] = client.of('session.report');
    const [turn] = report?.turns ?? [];
    expect(report).toMatchObject({ outcome: 'ended', utterances: 1, failovers: 0 });
    expect(report?.queue_ms).toBe(admit.attributes['voice.queue_ms']);
    expect(turn?.outcome).toBe('spoken');
    const { id, outcome: _outcome, ...numbers } = turn ?? { id: '', outcome: '' };
    for (const [name, value] of Object.entries(numbers))
      expect([name, utterance.attributes[`voice.${name}`]]).toEqual([name, value]);
    expect(Object.keys(numbers)).toEqual(
      expect.arrayContaining(['t0_ms', 't2_ms', 't3_ms', 't4_ms', 'lag_ms']),
    );
    const line = await services['gateway']?.logged('utterance_ended');
    expect(line).toMatchObject({ ...numbers, utterance: id, trace_id: TRACE });
    expect(await services['gateway']?.logged('session_ended')).toMatchObject({
      queue_ms: report?.queue_ms,
      lag_ms: report?.lag_ms,
      trace_id: TRACE,
    });
  }, 60_000);

  it('link a batch job to the request that asked for it, and hold what is done for it', async () => {
    const form = new FormData();
    const recording = new Blob([new Uint8Array(writeWav(speak([...SPOKEN_CARD, 5, 6]), 16_000))]);
    form.append('file', recording, 'six.wav');
    const headers = { 'x-api-key': KEY, traceparent: `00-${TRACE}-${CLIENT_SPAN}-01` };
    const url = `http://${origin}/v1/jobs`;
    const asked = await fetch(url, { method: 'POST', headers, body: form });
    expect(asked.status).toBe(202);

    const accept = await span(
      'gateway',
      'accept',
      ({ attributes }) => 'voice.job.id' in attributes,
    );
    expect(accept).toMatchObject({ traceId: TRACE, parentId: CLIENT_SPAN });
    const job = await span('asr-worker', 'job');
    expect(job.links).toMatchObject([{ traceId: TRACE, spanId: accept.spanId }]);
    expect(job.parentId).toBe('');
    expect(job.traceId).not.toBe(TRACE);
    expect(job.attributes).toMatchObject({ 'voice.outcome': 'completed', 'voice.attempt': 1 });
    const inferred = await span('vllm', 'speech_to_text', ({ traceId }) => traceId !== TRACE);
    expect(inferred).toMatchObject({ traceId: job.traceId, parentId: job.spanId });
  }, 60_000);

  it('hold nothing that was said and no key, and neither do logs, metrics and Redis', async () => {
    const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
    const messages = [{ role: 'user', content: `my card is ${CARD}` }];
    const post = (path: string, body: string): Promise<Response> =>
      fetch(`http://${origin}${path}?api_key=${KEY}`, { method: 'POST', headers, body });
    const answered = await post('/v1/chat/completions', JSON.stringify({ model: 'any', messages }));
    expect(await answered.text()).not.toBe('');
    // Also where something is wrong with them.
    await (await post('/v1/chat/completions', `{"messages":"${CARD}`)).text();
    await (await post(`/v1/none/${CARD}`, '{}')).text();
    const broken = new VoiceSocket(`ws://${origin}/ws?api_key=${KEY}`);
    await broken.next('info');
    broken.sendRaw(`{"type":"start","voice":"${CARD}`);
    await broken.next('error');
    broken.send({ type: 'end' });
    await broken.closed;
    await until(() => receiver.of('gateway', 'accept').length >= 3, 'all spans have come');

    const pages = await Promise.all(
      ['gateway', 'asr-worker', 'llm-tts'].map(async (name) => {
        const listening = await services[name]?.logged('listening');
        const page = await fetch(`http://127.0.0.1:${String(listening?.['internalPort'])}/metrics`);
        return page.text();
      }),
    );
    const { speech, rest } = await everyKey();
    const seen = {
      logs: Object.values(services).map(({ lines }) => JSON.stringify(lines)),
      spans: receiver.bodies,
      metrics: pages,
      redis: rest,
    };
    for (const [where, texts] of Object.entries(seen)) {
      expect([where, texts.length > 0]).toEqual([where, true]);
      for (const secret of SECRETS)
        expect([where, texts.filter((text) => text.includes(secret))]).toEqual([where, []]);
    }
    // What is kept of speech on purpose ends by itself, or with its job, and holds no key.
    expect(speech.join('')).toContain('w4929');
    expect(speech.join('')).not.toContain(KEY);
    const fields = ['ts', 'level', 'sid', 'event'];
    for (const name of ['gateway', 'asr-worker', 'llm-tts'])
      for (const line of services[name]?.lines ?? [])
        expect(Object.keys(line)).toEqual(expect.arrayContaining(fields));
  }, 60_000);
});

/** Keys that hold what was said, as they must: conversations for their next turn, and results of jobs. See docs/operations/tracing.md. */
const HOLDS_SPEECH = /conversation|:segments:/;

/** All that Redis has, names and values. */
async function everyKey(): Promise<{ speech: string[]; rest: string[] }> {
  const connection = new Redis(redis.url);
  const found = { speech: [] as string[], rest: [] as string[] };
  try {
    for (const key of await connection.keys('*')) {
      const value = await heldBy(connection, key);
      const where = HOLDS_SPEECH.test(key) ? found.speech : found.rest;
      where.push(key, value);
    }
    return found;
  } finally {
    connection.disconnect();
  }
}

async function heldBy(connection: Redis, key: string): Promise<string> {
  switch (await connection.type(key)) {
    case 'string':
      return (await connection.get(key)) ?? '';
    case 'hash':
      return JSON.stringify(await connection.hgetall(key));
    case 'list':
      return JSON.stringify(await connection.lrange(key, 0, -1));
    case 'set':
      return JSON.stringify(await connection.smembers(key));
    case 'zset':
      return JSON.stringify(await connection.zrange(key, 0, -1, 'WITHSCORES'));
    case 'stream':
      return JSON.stringify(await connection.xrange(key, '-', '+'));
    default:
      return '';
  }
}
