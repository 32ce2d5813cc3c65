import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExternalSource } from '../../scripts/observability/dashboard.ts';
import { EXTERNAL_METRICS } from '../../scripts/observability/external.ts';

/** Labels that the real ones have, as far as queries look at them. */
const LABELS: Readonly<Record<ExternalSource, string>> = {
  vllm: 'model_name="voxtral",engine="0"',
  dcgm: 'gpu="0",Hostname="gpu-node"',
  kube: 'horizontalpodautoscaler="voice-asr-worker-l40s",pod="voice-asr-worker-l40s-0",statefulset="voice-asr-worker-l40s",deployment="voice-gateway"',
  keda: 'scaledObject="voice-asr-worker-l40s",scaler="prometheus"',
  redis: 'maxmemory_policy="noeviction"',
};

/** Those of metrics that have others than the rest of their page. */
const OWN_LABELS: Readonly<Record<string, string>> = {
  kube_horizontalpodautoscaler_status_condition:
    'horizontalpodautoscaler="voice-asr-worker-l40s",condition="ScalingActive",status="false"',
  kube_job_failed: 'job_name="voice-loadtest-1",condition="true"',
};

/** What runs beside a fleet in a cluster, on one page: names and labels are the real ones. As they do while they start, its first answer is 503. */
export class FakeExporter implements AsyncDisposable {
  readonly #server: Server;
  #asked = 0;

  private constructor() {
    this.#server = createServer((_, response) => {
      this.#asked += 1;
      if (this.#asked === 1) response.writeHead(503).end();
      else
        response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(this.#page());
    });
  }

  static async start(): Promise<FakeExporter> {
    const exporter = new FakeExporter();
    await new Promise<void>((resolve) => exporter.#server.listen(0, '127.0.0.1', resolve));
    return exporter;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #page(): string {
    const count = this.#asked;
    const lines = Object.entries(EXTERNAL_METRICS).flatMap(([source, metrics]) => {
      return Object.entries(metrics).flatMap(([name, kind]) => {
        const labels = OWN_LABELS[name] ?? LABELS[source as ExternalSource];
        if (kind !== 'histogram') return [`${name}{${labels}} ${kind === 'counter' ? count : 1}`];
        return [
          `${name}_bucket{${labels},le="0.1"} ${count}`,
          `${name}_bucket{${labels},le="+Inf"} ${2 * count}`,
          `${name}_sum{${labels}} ${count}`,
          `${name}_count{${labels}} ${2 * count}`,
        ];
      });
    });
    return `${lines.join('\n')}\n`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
