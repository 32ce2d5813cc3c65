import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { freePort } from '@voice-fleet/testkit/ports';
import { FakeExporter } from '../support/fake-exporter.ts';
import { until } from '../support/until.ts';
import { endCommands, left, startCommand } from './command.ts';

const FLEETS = join(import.meta.dirname, '../../.cache/fleets');
const PATIENCE_MS = 60_000;

interface Target {
  readonly health: string;
  readonly labels: Readonly<Record<string, string>>;
}

describe('npm run observe', () => {
  afterEach(endCommands);

  it('has help', async () => {
    const command = startCommand(['scripts/observe.mjs', '--help']);
    expect(await command.closed).toBe(0);
    expect(command.stdout).toContain('--port N');
    expect(command.stderr).toBe('');
  });

  it(
    'watches a fleet of this machine with our rules, says where to look, and leaves nothing behind',
    async () => {
      await using exporter = await FakeExporter.start();
      mkdirSync(FLEETS, { recursive: true });
      // As npm start tells of its own, in the name of this process.
      const file = join(FLEETS, `${process.pid}.json`);
      const labels = { job: 'gateway', instance: 'gateway-of-a-test' };
      writeFileSync(file, JSON.stringify([{ targets: [`127.0.0.1:${exporter.port}`], labels }]));
      try {
        const port = await freePort();
        const command = startCommand(['scripts/observe.mjs', '--json', '--port', String(port)]);
        await until(() => command.stderr.includes('Ctrl+C stops it'), 'it has told', PATIENCE_MS);
        const told = JSON.parse(command.stdout) as { url: string; dashboards: string[] };
        expect(told.url).toBe(`http://127.0.0.1:${port}`);
        expect(told.dashboards).toContain(
          'charts/voice-fleet/dashboards/voice-fleet-overview.json',
        );
        expect(command.stderr).toContain(`alerts            ${told.url}/api/v1/alerts`);
        expect(command.stderr).toContain('Dashboards, New, Import');

        const get = async <T>(path: string): Promise<T> => {
          const response = await fetch(`${told.url}/api/v1/${path}`);
          return ((await response.json()) as { data: T }).data;
        };
        await until(
          async () => {
            const { activeTargets } = await get<{ activeTargets: Target[] }>('targets');
            return activeTargets.some(
              (target) => target.labels['instance'] === labels.instance && target.health === 'up',
            );
          },
          'the fleet is scraped',
          PATIENCE_MS,
        );
        const { groups } = await get<{ groups: { rules: { name: string }[] }[] }>('rules');
        const names = groups.flatMap(({ rules }) => rules.map(({ name }) => name));
        expect(names).toContain('VoicePoolSaturated');
        expect(names).toContain('voice:admission_errors:ratio_rate5m');

        command.child.kill('SIGINT');
        expect(await command.closed).toBe(0);
        expect(left(command)).toEqual([]);
      } finally {
        rmSync(file, { force: true });
      }
    },
    2 * PATIENCE_MS,
  );

  it('says which port to take when its own is taken', async () => {
    await using exporter = await FakeExporter.start();
    const command = startCommand(['scripts/observe.mjs', '--port', String(exporter.port)]);
    expect(await command.closed).toBe(1);
    expect(command.stderr).toContain(`npm run observe -- --port ${exporter.port + 1}`);
  });
});
