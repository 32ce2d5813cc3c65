import { createLogger } from '@voice-fleet/telemetry/logger';
import { FakeVllm } from '@voice-fleet/testkit/fake-vllm/fake-vllm';
import { DEFAULT_MODEL, type FakeVllmOptions } from '@voice-fleet/testkit/fake-vllm/options';
import { Fleet } from './fleet.ts';
import { type Logged, workerEngine } from './worker-engine.ts';

/** A gateway and a worker in front of a fake vLLM, all on real sockets, with watchdogs that bark ten times sooner. */
export class VllmFleet implements AsyncDisposable {
  readonly fake: FakeVllm;
  readonly fleet: Fleet;
  readonly logged: Logged[];

  private constructor(fake: FakeVllm, fleet: Fleet, logged: Logged[]) {
    this.fake = fake;
    this.fleet = fleet;
    this.logged = logged;
  }

  static async start(
    options: FakeVllmOptions = {},
    env: Record<string, string> = {},
    onLine: (line: Record<string, unknown>) => void = () => undefined,
  ): Promise<VllmFleet> {
    const fake = await FakeVllm.start(options);
    const settings = {
      ASR_ENGINE: 'vllm',
      VLLM_BASE_URL: fake.httpUrl,
      VOXTRAL_SERVED_MODEL_NAME: DEFAULT_MODEL,
      VLLM_STALL_S: '0.3',
      VLLM_DONE_S: '0.5',
      VLLM_DIAL_TIMEOUT_S: '1',
      STT_MAX_BACKLOG_SECONDS: '0',
      ...env,
    };
    const { logged, ...parts } = workerEngine(settings);
    const fleet = await Fleet.start([]);
    const vllm = new VllmFleet(fake, fleet, logged);
    try {
      const write = (line: string): void => onLine(JSON.parse(line));
      const log = createLogger('asr-worker', 'info', { write });
      await fleet.addWorker(parts.engine, settings, { ...parts, log });
      await fleet.ready();
      return vllm;
    } catch (error) {
      await vllm[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fleet[Symbol.asyncDispose]();
    await this.fake.close();
  }
}
