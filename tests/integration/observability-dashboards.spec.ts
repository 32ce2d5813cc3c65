import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import {
  catalogue,
  type MetricKind,
  metricOf,
  ownMetrics,
  seriesOf,
} from '../../scripts/observability/catalogue.ts';
import { CAUSE_GROUPS } from '../../scripts/observability/causes.ts';
import { EXTERNAL_SOURCES } from '../../scripts/observability/dashboard.ts';
import { DASHBOARDS } from '../../scripts/observability/dashboards.ts';
import { EXTERNAL_METRICS } from '../../scripts/observability/external.ts';
import { observabilityFiles } from '../../scripts/observability/generated.ts';
import { SLO_GROUPS } from '../../scripts/observability/slo.ts';
import { promtool } from '../support/promtool.ts';

const FOLDER = join(import.meta.dirname, '../../charts/voice-fleet/dashboards');

/** What Grafana reads, as far as it is looked at here. */
interface GrafanaPanel {
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly uid: string };
  readonly fieldConfig?: { readonly defaults: { readonly unit: string } };
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly targets?: readonly {
    readonly expr: string;
    readonly legendFormat: string;
    readonly datasource: { readonly uid: string };
  }[];
}
interface GrafanaVariable {
  readonly name: string;
  readonly type: string;
  readonly multi?: boolean;
  readonly allValue?: string;
  readonly refresh?: number;
}
interface GrafanaDashboard {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly editable: boolean;
  readonly templating: { readonly list: readonly GrafanaVariable[] };
  readonly panels: readonly GrafanaPanel[];
}

const texts = readdirSync(FOLDER).map(
  (name) => [name, readFileSync(join(FOLDER, name), 'utf8')] as const,
);
const dashboards = texts.map(
  ([name, text]) => [name, JSON.parse(text) as GrafanaDashboard] as const,
);
const panels = dashboards.flatMap(([name, { panels: all }]) =>
  all
    .filter(({ type }) => type !== 'row')
    .map((panel) => ({ where: `${name}: ${panel.title}`, panel })),
);
const queries = panels.flatMap(({ where, panel }) =>
  (panel.targets ?? []).map(({ expr }) => ({ where, expr })),
);

let known: ReadonlyMap<string, MetricKind>;
beforeAll(async () => {
  known = await catalogue();
});

describe('dashboards', () => {
  it('are the files that are declared, and no others', () => {
    const declared = Object.entries(observabilityFiles()).filter(([path]) =>
      path.endsWith('.json'),
    );
    expect(texts.map(([name]) => name).sort()).toEqual(
      declared.map(([path]) => path.replace(/.*\//, '')).sort(),
    );
    for (const [path, text] of declared)
      expect(texts.find(([name]) => path.endsWith(`/${name}`))?.[1]).toBe(text);
    expect(DASHBOARDS).toHaveLength(9);
  });

  it.each(dashboards)(
    '%s has an own uid, cannot be edited in place and carries no id',
    (name, dashboard) => {
      expect(`${dashboard.uid}.json`).toBe(name);
      expect(dashboards.filter(([, other]) => other.uid === dashboard.uid)).toHaveLength(1);
      expect(dashboards.filter(([, other]) => other.title === dashboard.title)).toHaveLength(1);
      expect(dashboard.editable).toBe(false);
      expect(JSON.stringify(dashboard)).not.toMatch(/"id":/);
      expect(dashboard.description.length).toBeGreaterThan(20);
    },
  );

  it.each(dashboards)(
    '%s has one data source variable, and lists to choose from that follow the time range',
    (_, dashboard) => {
      const { list } = dashboard.templating;
      expect(list.filter(({ type }) => type === 'datasource').map(({ name }) => name)).toEqual([
        'datasource',
      ]);
      const lists = list.filter(({ type }) => type === 'query');
      expect(lists.map(({ name }) => name).slice(0, 3)).toEqual(['namespace', 'fleet', 'job']);
      // What series may lack must match where it is lacking.
      for (const { name, multi, allValue, refresh } of lists)
        expect({ multi, allValue, refresh }).toEqual({
          multi: true,
          allValue: name === 'job' ? '.+' : '.*',
          refresh: 2,
        });
    },
  );

  it.each(texts)('%s uses each of its variables and no other', (_, text) => {
    const names = (JSON.parse(text) as GrafanaDashboard).templating.list.map(({ name }) => name);
    const used = new Set([...text.matchAll(/\$\{?([a-z]\w*)/g)].map(([, name]) => name));
    expect([...used].sort()).toEqual([...names].sort());
  });

  it.each(texts)('%s names no data source, namespace or host of its own', (_, text) => {
    for (const [, uid] of text.matchAll(/"uid": "([^"]*)"/g))
      expect(uid === '$datasource' || DASHBOARDS.some((one) => one.uid === uid)).toBe(true);
    expect(text).not.toMatch(/(?:namespace|fleet)=~?\\"[^$\\]|instance=|https?:\/\//);
  });

  it.each(dashboards)('%s has panels that do not overlap', (_, { panels: all }) => {
    const taken = new Set<string>();
    for (const { gridPos } of all)
      for (let { y } = gridPos; y < gridPos.y + gridPos.h; y += 1)
        for (let { x } = gridPos; x < gridPos.x + gridPos.w; x += 1) {
          expect(taken.has(`${x},${y}`)).toBe(false);
          taken.add(`${x},${y}`);
        }
  });
});

describe('panels', () => {
  it('have a title, a description that says more, a unit and queries with legends', () => {
    for (const { where, panel } of panels) {
      expect([where, panel.title.length > 2]).toEqual([where, true]);
      expect([
        where,
        (panel.description ?? '').length > 5 && panel.description !== panel.title,
      ]).toEqual([where, true]);
      expect([where, Boolean(panel.fieldConfig?.defaults.unit)]).toEqual([where, true]);
      expect([where, (panel.targets ?? []).length > 0]).toEqual([where, true]);
      for (const { legendFormat, datasource } of panel.targets ?? []) {
        expect([where, legendFormat.length > 0]).toEqual([where, true]);
        expect([where, datasource.uid]).toEqual([where, '$datasource']);
      }
    }
  });

  it('have an own title within their dashboard', () => {
    const seen = panels.map(({ where }) => where);
    expect(seen.filter((where, index) => seen.indexOf(where) !== index)).toEqual([]);
  });

  it('look back as far as the screen wants, and never sum counters raw', () => {
    for (const { where, expr } of queries) {
      for (const [, range] of expr.matchAll(/\[([^\]]*)\]/g))
        expect([where, range]).toEqual([where, '$__rate_interval']);
      const series = new Set(seriesOf(expr));
      for (const name of series) {
        const kind = known.get(metricOf(name, known) ?? '');
        if (kind !== 'counter' && kind !== 'histogram' && kind !== 'summary') continue;
        const raw = new RegExp(`(?<!(?:rate|increase)\\()(?<![\\w:])${name}(?![\\w:])`);
        expect([where, name, raw.test(expr)]).toEqual([where, name, false]);
      }
    }
  });

  it('say whose metrics they show, when these are not the fleet’s own', async () => {
    const own = await ownMetrics();
    for (const { panel, where } of panels) {
      const sources = Object.entries(EXTERNAL_METRICS).filter(([, metrics]) =>
        (panel.targets ?? []).some(({ expr }) =>
          seriesOf(expr).some((name) => {
            const metric = metricOf(name, known) ?? '';
            return metric in metrics && !own.has(metric);
          }),
        ),
      );
      for (const [source] of sources)
        expect([where, panel.description]).toEqual([
          where,
          expect.stringContaining(EXTERNAL_SOURCES[source as keyof typeof EXTERNAL_SOURCES]),
        ]);
    }
  });
});

describe('queries', () => {
  it('name only metrics that are in the catalogue; what none names is printed', async () => {
    const rules = [...SLO_GROUPS, ...CAUSE_GROUPS].flatMap((group) => group.rules);
    const exprs = [
      ...queries,
      ...rules.map((rule) => ({
        where: 'alert' in rule ? rule.alert : rule.record,
        expr: rule.expr,
      })),
    ];
    const used = new Set<string>();
    for (const { where, expr } of exprs)
      for (const name of seriesOf(expr)) {
        const metric = metricOf(name, known);
        expect([where, name, metric !== undefined]).toEqual([where, name, true]);
        if (metric !== undefined) used.add(metric);
      }
    const unused = [...(await ownMetrics()).keys()].filter((name) => !used.has(name)).sort();
    process.stdout.write(`metrics in no dashboard and no rule: ${unused.join(', ')}\n`);
  });

  it('are all understood by promtool', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'voice-queries-'));
    try {
      const path = join(folder, 'queries.yaml');
      const rules = queries.map(({ expr }, index) => ({
        record: `query:number${index}`,
        expr: expr
          .replaceAll('$__rate_interval', '1m')
          .replace(/\$(?:namespace|fleet|job|pool)/g, '.*'),
      }));
      writeFileSync(path, JSON.stringify({ groups: [{ name: 'queries', rules }] }));
      expect(await promtool(['check', 'rules', path])).toMatchObject({ code: 0 });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
