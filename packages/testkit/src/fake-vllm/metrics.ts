/** vLLM's buckets of vllm:time_to_first_token_seconds. */
const TTFT_BUCKETS_S = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
  160, 640, 2560,
] as const;

/** The engine's state as its gauges show it. */
export interface StepState {
  readonly running: number;
  /** Live utterances outside the step, also those that only wait for audio. */
  readonly waiting: number;
  /** Of the waiting ones, those whose first token found no room. */
  readonly withoutRoom: number;
  readonly usedKvMib: number;
}

const IDLE: StepState = { running: 0, waiting: 0, withoutRoom: 0, usedKvMib: 0 };

/** What one engine process counted. The gauges move with its steps only: while it idles or hangs they tell old news. */
export class EngineMetrics {
  /** Raised by tests that play overload; realtime utterances are never preempted by themselves. */
  preemptions = 0;
  #step = IDLE;
  #promptTokens = 0;
  #generatedTokens = 0;
  readonly #ttftCounts = new Array<number>(TTFT_BUCKETS_S.length + 1).fill(0);
  #ttftSumS = 0;

  observeStep(state: StepState): void {
    this.#step = state;
  }

  /** One token, `waitS` after it could have been computed at the earliest; the first of an utterance counts its prompt. */
  observeToken(waitS: number, promptTokens: number): void {
    this.#generatedTokens += 1;
    this.#promptTokens += promptTokens;
    this.#ttftSumS += waitS;
    let bucket = 0;
    while (waitS > (TTFT_BUCKETS_S[bucket] ?? Number.POSITIVE_INFINITY)) bucket += 1;
    this.#ttftCounts[bucket] = (this.#ttftCounts[bucket] ?? 0) + 1;
  }

  /** The page of `/metrics`, in the text format of Prometheus. `sockets` are the open ones. */
  render(model: string, kvPoolMib: number, sockets: { open: number; total: number }): string {
    const own = `model_name="${escapeLabel(model)}",engine="0"`;
    const step = this.#step;
    const deferred = step.waiting - step.withoutRoom;
    return [
      ...head('websocket_connections_active', 'gauge'),
      `vllm:websocket_connections_active ${sockets.open}`,
      ...head('websocket_connections_total', 'counter'),
      `vllm:websocket_connections_total ${sockets.total}`,
      ...single('num_requests_running', 'gauge', own, step.running),
      ...single('num_requests_waiting', 'gauge', own, step.waiting),
      ...head('num_requests_waiting_by_reason', 'gauge'),
      `vllm:num_requests_waiting_by_reason{${own},reason="capacity"} ${step.withoutRoom}`,
      `vllm:num_requests_waiting_by_reason{${own},reason="deferred"} ${deferred}`,
      ...single('kv_cache_usage_perc', 'gauge', own, step.usedKvMib / kvPoolMib),
      ...single('num_preemptions_total', 'counter', own, this.preemptions),
      ...single('prompt_tokens_total', 'counter', own, this.#promptTokens),
      ...single('generation_tokens_total', 'counter', own, this.#generatedTokens),
      ...this.#ttft(own),
      '',
    ].join('\n');
  }

  #ttft(own: string): string[] {
    const name = 'time_to_first_token_seconds';
    let sum = 0;
    const buckets = this.#ttftCounts.map((count, index) => {
      sum += count;
      return `vllm:${name}_bucket{${own},le="${TTFT_BUCKETS_S[index]?.toString() ?? '+Inf'}"} ${sum}`;
    });
    return [
      ...head(name, 'histogram'),
      ...buckets,
      `vllm:${name}_sum{${own}} ${this.#ttftSumS}`,
      `vllm:${name}_count{${own}} ${sum}`,
    ];
  }
}

type Kind = 'gauge' | 'counter' | 'histogram';

function head(name: string, kind: Kind): string[] {
  return [`# TYPE vllm:${name} ${kind}`];
}

function single(name: string, kind: Kind, labels: string, value: number): string[] {
  return [...head(name, kind), `vllm:${name}{${labels}} ${value}`];
}

/** A label value as the text format wants it. */
function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
