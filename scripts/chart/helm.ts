import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';

/** The majors of helm that the chart is checked with. */
export const HELM_MAJORS = [4, 3] as const;
export type HelmMajor = (typeof HELM_MAJORS)[number];

/** The chart of this repository. */
export const CHART = join(import.meta.dirname, '../../charts/voice-fleet');

export interface HelmRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where nobody is: no plugin, repository or cluster of whoever runs this has a say in what is rendered. */
const NOWHERE = join(tmpdir(), 'voice-fleet-no-helm-home');
const MOST_BYTES = 64 * 1_024 * 1_024;

/** Runs helm to its end; `input` is what it reads as the file `-`. Throws only where there is no helm. */
export function helm(major: HelmMajor, args: readonly string[], input = ''): HelmRun {
  const { status, stdout, stderr, error } = spawnSync(helmPath(major), args, {
    input,
    encoding: 'utf8',
    maxBuffer: MOST_BYTES,
    env: {
      HOME: NOWHERE,
      HELM_CACHE_HOME: NOWHERE,
      HELM_CONFIG_HOME: NOWHERE,
      HELM_DATA_HOME: NOWHERE,
      KUBECONFIG: join(NOWHERE, 'kubeconfig'),
    },
  });
  if (error) throw error;
  return { code: status ?? 1, stdout, stderr };
}

function helmPath(major: HelmMajor): string {
  const variable = `VF_HELM${major}`;
  const path = env[variable];
  if (!path) {
    throw new Error(
      `there is no helm ${major}: ${variable} is not set. Run through npm (npm run test:chart, npm run check:chart); where npm cannot get it, \`npm run setup -- --helm\` tells why.`,
    );
  }
  return path;
}
