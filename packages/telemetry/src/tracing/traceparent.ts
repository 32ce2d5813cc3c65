/** The parts of a W3C `traceparent`. */
export interface TraceParent {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
}

/** Its length in version 00; of later ones it is the beginning. */
const SHAPE = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
/** Longer ones are nobody's. */
const MAX_CHARS = 128;

/** Undefined for whatever is none: a trace that cannot be read is begun anew, and nobody is told. */
export function parseTraceparent(value: unknown): TraceParent | undefined {
  if (typeof value !== 'string' || value.length > MAX_CHARS) return undefined;
  const [, version, traceId = '', spanId = '', flags = '', more] = SHAPE.exec(value) ?? [];
  if (version === undefined || version === 'ff') return undefined;
  if (version === '00' && more !== undefined) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The value if it is one, as clients send what they will. */
export function traceparentOf(value: unknown): string | undefined {
  return parseTraceparent(value) === undefined ? undefined : (value as string);
}

/** Of a request, if it brings one. */
export function traceparentIn(headers: Readonly<Record<string, unknown>>): string | undefined {
  return traceparentOf(headers['traceparent']);
}

export function formatTraceparent({ traceId, spanId, sampled }: TraceParent): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}
