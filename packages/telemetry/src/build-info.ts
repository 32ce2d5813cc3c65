import { readFileSync } from 'node:fs';
import { Gauge, type Registry } from 'prom-client';

/** All packages of the fleet have one version. */
const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string };

/** What runs: 1 with the service, what it serves, and versions. Alerts that miss a service look for this. `pool`: that of a worker; empty for a service of all pools. */
export function showBuild(registry: Registry, service: string, pool: string): void {
  const info = new Gauge({
    name: 'voice_build_info',
    help: 'Always 1: which service of which pool this is, its version and that of Node.',
    labelNames: ['service', 'pool', 'version', 'node_version'],
    registers: [registry],
  });
  info.labels(service, pool, version, process.version).set(1);
}
