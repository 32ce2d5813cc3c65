import type { Json } from './kubernetes-object.ts';

const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** What a quantity of Kubernetes is worth in cores or bytes: `500m` is 0.5. Throws where it is none. */
export function quantity(value: Json): number {
  const [, number, unit = ''] = /^([0-9]+(?:\.[0-9]+)?)([a-zA-Z]*)$/.exec(String(value)) ?? [];
  const factor = FACTORS[unit];
  if (number === undefined || factor === undefined)
    throw new Error(`${JSON.stringify(value)} is no quantity`);
  return Number(number) * factor;
}

/** Bytes as people write them: `1.5 GiB`. */
export function bytes(count: number): string {
  const unit = count >= 2 ** 30 ? 30 : 20;
  return `${short(count / 2 ** unit)} ${unit === 30 ? 'GiB' : 'MiB'}`;
}

/** At most two digits behind the point, and no more than it takes. */
export function short(count: number): string {
  return String(Number(count.toFixed(2)));
}
