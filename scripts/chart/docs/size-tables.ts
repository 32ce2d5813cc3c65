import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { CHART, type HelmMajor } from '../helm.ts';
import { bytes, short } from '../quantity.ts';
import { renderChart } from '../render.ts';
import { type WorkloadSize, workloadSizes } from '../sizes.ts';

const SAMPLES = join(CHART, 'samples');
const RELEASE = 'voice';
const HEAD = [
  '',
  'pods',
  'cards',
  'CPU requested',
  'memory requested',
  'memory, most',
  'disk of nodes, most',
  'claims',
];

/** A table for each sample of the chart: what it takes of a cluster, rendered by helm. */
export function sizeTables(helm: HelmMajor = 4): string {
  return samples()
    .map((sample) => {
      const file = join(SAMPLES, `${sample}.yaml`);
      const set = ['crdChecks=false'];
      const sizes = workloadSizes(renderChart({ values: file, release: RELEASE, set, helm }));
      return `**${sample}.yaml**\n\n${table(sizes)}`;
    })
    .join('\n\n');
}

/** Names of the samples, in the order in which they grow. */
export function samples(): string[] {
  const order = ['laptop', 'single-gpu', 'air-gapped', 'two-pools', 'high-availability'];
  const names = readdirSync(SAMPLES).map((file) => basename(file, '.yaml'));
  const place = (name: string): number => (order.indexOf(name) + order.length) % order.length;
  return names.sort((a, b) => place(a) - place(b) || a.localeCompare(b));
}

function table(sizes: readonly WorkloadSize[]): string {
  const rows = sizes.map((size) => [size.name.replace(`${RELEASE}-`, ''), ...cells([size])]);
  const lines = [HEAD, HEAD.map(() => '---'), ...rows, ['**together**', ...cells(sizes)]];
  return lines.map((line) => `| ${line.join(' | ')} |`).join('\n');
}

/** What is between the fewest and the most pods that autoscalers allow. */
function cells(sizes: readonly WorkloadSize[]): string[] {
  const range = (of: (size: WorkloadSize) => number, write: (value: number) => string): string => {
    const total = (pods: 'least' | 'most'): number =>
      sizes.reduce((sum, size) => sum + size[pods] * of(size), 0);
    const [least, most] = [total('least'), total('most')];
    if (most === 0) return '-';
    return least === most ? write(least) : `${write(least)} to ${write(most)}`;
  };
  return [
    range(() => 1, String),
    range(({ cards }) => cards, String),
    range(({ cpu }) => cpu, short),
    range(({ memory }) => memory, bytes),
    range(({ memoryLimit }) => memoryLimit, bytes),
    range(({ disk }) => disk, bytes),
    range(({ claims }) => claims, bytes),
  ];
}
