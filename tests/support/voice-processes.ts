import { startRedis, type TestRedis } from '@voice-fleet/testkit/redis';
import { ServiceProcess } from './service-process.ts';
import { until } from './until.ts';

export const KEY = 'test-key';
const PATIENCE_MS = 60_000;

/** The fleet as `npm start` has it, each service a process: pocketsphinx hears, the built-in rules answer, flite speaks. */
export class VoiceProcesses implements AsyncDisposable {
  readonly origin: string;
  /** With TLS; undefined where the environment names no certificate. */
  readonly tlsOrigin: string | undefined;
  /** Where each service serves its metrics, by its name. */
  readonly internalPorts: Readonly<Record<string, number>>;
  readonly #services: readonly ServiceProcess[];
  readonly #redis: TestRedis;

  private constructor(
    { port, tlsPort }: Record<string, unknown>,
    services: readonly ServiceProcess[],
    redis: TestRedis,
    internalPorts: Readonly<Record<string, number>>,
  ) {
    this.internalPorts = internalPorts;
    this.origin = `http://127.0.0.1:${String(port)}`;
    this.tlsOrigin = tlsPort === undefined ? undefined : `https://127.0.0.1:${String(tlsPort)}`;
    this.#services = services;
    this.#redis = redis;
  }

  static async start(env: Record<string, string> = {}): Promise<VoiceProcesses> {
    const redis = await startRedis();
    const common = { REDIS_URL: redis.url, LOG_LEVEL: 'info', ...env };
    const worker = new ServiceProcess('asr-worker', {
      ...common,
      ASR_ENGINE: 'pocketsphinx',
      WORKER_HOST: '127.0.0.1',
    });
    const llmTts = new ServiceProcess('llm-tts', common);
    const services = [worker, llmTts];
    try {
      const { port: ttsPort } = await llmTts.logged('listening');
      const gateway = new ServiceProcess('gateway', {
        ...common,
        VOXTRAL_API_KEY: KEY,
        LLM_TTS_URL: `http://127.0.0.1:${String(ttsPort)}`,
      });
      services.push(gateway);
      const ports: Record<string, number> = {};
      for (const [name, service] of Object.entries({
        gateway,
        'asr-worker': worker,
        'llm-tts': llmTts,
      }))
        ports[name] = Number((await service.logged('listening'))['internalPort']);
      const fleet = new VoiceProcesses(await gateway.logged('listening'), services, redis, ports);
      const ready = async (): Promise<boolean> => (await fetch(`${fleet.origin}/readyz`)).ok;
      await until(ready, 'the fleet is ready', PATIENCE_MS);
      return fleet;
    } catch (error) {
      await Promise.all(services.map((service) => service[Symbol.asyncDispose]()));
      await redis.stop();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#services.map((service) => service[Symbol.asyncDispose]()));
    await this.#redis.stop();
  }
}
