/** Whose metrics a panel shows, when they are none of the fleet's own. */
export const EXTERNAL_SOURCES = {
  vllm: "vLLM's own metrics page",
  dcgm: "NVIDIA's DCGM exporter",
  kube: 'kube-state-metrics',
  keda: "KEDA's operator",
  redis: 'the Redis exporter',
} as const;
export type ExternalSource = keyof typeof EXTERNAL_SOURCES;

export interface Query {
  readonly expr: string;
  /** Grafana's format: `{{pool}}`. */
  readonly legend: string;
}

/** Units of Grafana that are used here. */
export type Unit =
  | 'short'
  | 's'
  | 'bytes'
  | 'percent'
  | 'percentunit'
  | 'reqps'
  | 'ops'
  | 'decmbytes'
  | 'dateTimeAsIso';

export interface Panel {
  readonly title: string;
  /** What it tells, and what is out of the ordinary. */
  readonly description: string;
  readonly unit: Unit;
  readonly queries: readonly Query[];
  readonly kind?: 'timeseries' | 'stat';
  /** Absent: the fleet's own metrics. */
  readonly external?: ExternalSource;
  /** Dots that lead to traces. */
  readonly exemplars?: boolean;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

export interface Dashboard {
  /** Also the name of its file. */
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  /** Beside the data source, namespace, fleet and job. */
  readonly pool: boolean;
  readonly rows: readonly Row[];
}

const WIDTH = 24;
const PANEL = { w: 8, h: 8 };
/** On one machine series have no namespace and no fleet, and those of vLLM no pool. */
const MAY_LACK = '.*';
const BUILDS = 'voice_build_info';
const IN_NAMESPACE = `${BUILDS}{namespace=~"$namespace"}`;
const IN_FLEET = '{namespace=~"$namespace",fleet=~"$fleet"}';
const DATASOURCE = { type: 'prometheus', uid: '$datasource' };

/** A list of values to choose from, all of them at first. `all`: the pattern for that. */
function variable(name: string, label: string, query: string, all = '.+'): object {
  return {
    name,
    label,
    type: 'query',
    datasource: DATASOURCE,
    definition: query,
    query: { query, refId: name },
    // With the time range: what is listed is what was there.
    refresh: 2,
    multi: true,
    includeAll: true,
    allValue: all,
    current: { text: 'All', value: '$__all' },
    sort: 1,
  };
}

function target({ exemplars = false }: Panel, { expr, legend }: Query, index: number): object {
  return {
    refId: String.fromCharCode(65 + index),
    datasource: DATASOURCE,
    expr,
    legendFormat: legend,
    exemplar: exemplars,
  };
}

function panel(spec: Panel, x: number, y: number): object {
  const { title, description, unit, queries, kind = 'timeseries', external } = spec;
  const source = external ? ` From ${EXTERNAL_SOURCES[external]}.` : '';
  return {
    type: kind,
    title,
    description: description + source,
    datasource: DATASOURCE,
    gridPos: { x, y, ...PANEL },
    fieldConfig: { defaults: { unit }, overrides: [] },
    options:
      kind === 'stat'
        ? { reduceOptions: { calcs: ['lastNotNull'] }, textMode: 'value_and_name' }
        : {
            legend: { showLegend: true, displayMode: 'list', placement: 'bottom' },
            tooltip: { mode: 'multi', sort: 'desc' },
          },
    targets: queries.map((query, index) => target(spec, query, index)),
  };
}

function panels(rows: readonly Row[]): object[] {
  const all: object[] = [];
  let y = 0;
  for (const { title, panels: specs } of rows) {
    all.push({
      type: 'row',
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: WIDTH, h: 1 },
    });
    y += 1;
    const inLine = WIDTH / PANEL.w;
    specs.forEach((spec, index) => {
      all.push(panel(spec, (index % inLine) * PANEL.w, y + Math.floor(index / inLine) * PANEL.h));
    });
    y += Math.ceil(specs.length / inLine) * PANEL.h;
  }
  return all;
}

/** The dashboard as Grafana imports it: the same bytes each time. */
export function dashboardFile({ uid, title, description, pool, rows }: Dashboard): string {
  const json = {
    uid,
    title,
    description,
    tags: ['voice-fleet'],
    editable: false,
    schemaVersion: 39,
    version: 1,
    time: { from: 'now-1h', to: 'now' },
    refresh: '30s',
    timezone: '',
    graphTooltip: 1,
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
        variable('namespace', 'Namespace', `label_values(${BUILDS}, namespace)`, MAY_LACK),
        variable('fleet', 'Fleet', `label_values(${IN_NAMESPACE}, fleet)`, MAY_LACK),
        variable('job', 'Job', `label_values(${BUILDS}${IN_FLEET}, job)`),
        ...(pool
          ? [
              variable(
                'pool',
                'Pool',
                `label_values(voice_worker_slots${IN_FLEET}, pool)`,
                MAY_LACK,
              ),
            ]
          : []),
      ],
    },
    panels: panels(rows),
  };
  return `${JSON.stringify(json, undefined, 2)}\n`;
}
