/** More of an exposition is not read: vLLM's is some 100 KB. */
const MAX_CHARS = 4 * 1024 * 1024;
/** Longer lines are skipped. */
const MAX_LINE_CHARS = 4096;
/** Engines beyond these are left out. */
const MAX_SERIES = 64;

/** name{labels} value [timestamp]; a label's value may hold braces and escaped quotes. */
const SAMPLE =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[^"{}]|"(?:[^"\\]|\\.)*")*)\})?[ \t]+([^ \t]+)(?:[ \t]+-?\d+)?[ \t]*$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"/g;

/** What vLLM says of itself. Undefined: it did not say, or not in numbers. */
export interface VllmMetrics {
  /** Part of the KV pool in use, 0..1, of the fullest engine. */
  readonly kvUsage: number | undefined;
  /** Utterances whose first audio was not admitted, of all engines. */
  readonly waitingForCapacity: number | undefined;
  /** Since the server started, of all engines. */
  readonly preemptions: number | undefined;
}

/** Reads the few metrics the worker acts on from Prometheus' text format. Never throws; what it cannot read it leaves out. */
export function parseVllmMetrics(text: string): VllmMetrics {
  const kvUsages: number[] = [];
  const waiting: number[] = [];
  const preempted: number[] = [];
  for (const line of linesOf(text)) {
    if (!line.startsWith('vllm:')) continue;
    const match = SAMPLE.exec(line);
    if (!match) continue;
    const [, name = '', labels = '', raw = ''] = match;
    const value = numberOf(raw);
    if (value === undefined || value < 0) continue;
    if (name === 'vllm:kv_cache_usage_perc') push(kvUsages, Math.min(1, value));
    else if (name === 'vllm:num_preemptions_total') push(preempted, value);
    else if (name === 'vllm:num_requests_waiting_by_reason') {
      if (labelOf(labels, 'reason') === 'capacity') push(waiting, value);
    }
  }
  return {
    kvUsage: kvUsages.length > 0 ? Math.max(...kvUsages) : undefined,
    waitingForCapacity: sum(waiting),
    preemptions: sum(preempted),
  };
}

/** How much a counter grew between two readings; after a restart of the server it is its new value. Undefined: not known. */
export function counterDelta(
  before: number | undefined,
  after: number | undefined,
): number | undefined {
  if (before === undefined || after === undefined) return undefined;
  return after >= before ? after - before : after;
}

/** Without an array of all lines: a foreign server may send anything. */
function* linesOf(text: string): Generator<string> {
  const end = Math.min(text.length, MAX_CHARS);
  let from = 0;
  while (from < end) {
    const newline = text.indexOf('\n', from);
    const until = newline < 0 || newline > end ? end : newline;
    if (until - from <= MAX_LINE_CHARS) yield text.slice(from, until).trim();
    from = until + 1;
  }
}

function labelOf(labels: string, wanted: string): string | undefined {
  for (const [, name, value] of labels.matchAll(LABEL)) if (name === wanted) return value;
  return undefined;
}

function numberOf(raw: string): number | undefined {
  if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(raw)) return undefined;
  const value = Number(raw);
  return Number.isFinite(value) ? value : undefined;
}

function push(values: number[], value: number): void {
  if (values.length < MAX_SERIES) values.push(value);
}

function sum(values: readonly number[]): number | undefined {
  return values.length > 0 ? values.reduce((total, value) => total + value, 0) : undefined;
}
