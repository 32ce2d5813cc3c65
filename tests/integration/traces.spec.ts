import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writeWav } from '@voice-fleet/speech/wav';
import { range, speak } from '@voice-fleet/testkit/coded-speech';
import { DEFAULT_MODEL } from '@voice-fleet/testkit/fake-vllm/options';
import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import { OtlpReceiver, type SeenSpan } from '../support/otlp-receiver.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { until } from '../support/until.ts';
import { VoiceSocket } from '../support/voice-socket.ts';

const KEY = 'test-key';
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
    client.say(speak(range(1, 8)), { endpointing: false, report: true });
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
  }, 60_000);

  it('link a batch job to the request that asked for it, and hold what is done for it', async () => {
    const form = new FormData();
    const recording = new Blob([new Uint8Array(writeWav(speak(range(1, 6)), 16_000))]);
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
});
