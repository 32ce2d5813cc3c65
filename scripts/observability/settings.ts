import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const VALUES = join(import.meta.dirname, '../../charts/voice-fleet/values.yaml');

/** What rules leave open, as the chart names it in `monitoring.rules`. */
interface RuleValues {
  readonly objectives: Readonly<Record<string, number>>;
  readonly thresholds: Readonly<Record<string, number>>;
}

const { monitoring } = parse(readFileSync(VALUES, 'utf8')) as {
  monitoring: { rules: RuleValues };
};

/** Objectives and thresholds where nobody has set others: those of the chart. */
export const DEFAULTS: RuleValues = monitoring.rules;

/** Settings that are also told as percentages, under their name with `Percent`. */
const PARTS = [
  'admission',
  'firstPartial',
  'final',
  'sessionIntegrity',
  'poolSaturation',
  'turnsFailed',
  'redisMemory',
] as const;

/** Times of latency objectives: they are bounds of histograms, and with `Bucket` a pattern of the label `le`. */
const SECONDS = ['firstPartialSeconds', 'finalSeconds'] as const;

/** Patterns for the label `le` of a bound: Prometheus 3 writes that of a whole number as `1.0`. */
export const bucketPattern = (bound: number): string =>
  Number.isInteger(bound) ? `${bound}|${bound}.0` : String(bound);

/**
 * Whose series they are, and how long a drain and a start may take: for a Prometheus that sees one fleet. `release` begins names of
 * Kubernetes objects; `pod` is the label that names a pod.
 */
const ALONE = {
  release: '.+',
  pod: 'pod',
  drainFor: '5m',
  startFor: '20m',
  kube: '',
  cards: '',
  redis: '',
};

/** Texts for what stands between percent signs in rules, as defaults have them. */
export function plainTexts(): Readonly<Record<string, string>> {
  const { objectives, thresholds } = DEFAULTS;
  const values: Record<string, number> = { ...objectives, ...thresholds };
  const percents = PARTS.map((name) => [`${name}Percent`, shortNumber(100 * value(name))]);
  const buckets = SECONDS.map((name) => [`${name}Bucket`, bucketPattern(value(name))]);
  const own = Object.entries(values).map(([name, number]) => [name, String(number)]);
  return { ...ALONE, ...Object.fromEntries([...own, ...percents, ...buckets]) };
}

/** The default of an objective or a threshold. Throws where the chart has none of this name. */
export function value(name: string): number {
  const { objectives, thresholds } = DEFAULTS;
  const found = objectives[name] ?? thresholds[name];
  if (found === undefined) throw new Error(`values.yaml has no monitoring.rules.….${name}`);
  return found;
}

/** Without the digits that binary fractions add. */
const shortNumber = (number: number): string => String(Number(number.toPrecision(10)));

/** Puts a text in place of each `%name%`. Throws for a name that has none. */
export function fill(text: string, textOf: (name: string) => string | undefined): string {
  return text.replace(/%([a-zA-Z]+)%/g, (_, name: string) => {
    const found = textOf(name);
    if (found === undefined) throw new Error(`rules name %${name}%, which nobody sets`);
    return found;
  });
}
