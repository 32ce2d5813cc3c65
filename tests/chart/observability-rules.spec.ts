import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CHART } from '../../scripts/chart/helm.ts';
import { at, type JsonObject, listAt, mapAt } from '../../scripts/chart/kubernetes-object.ts';
import { type RenderOptions, renderChart, renderError } from '../../scripts/chart/render.ts';
import { seriesOf } from '../../scripts/observability/catalogue.ts';
import { CAUSE_GROUPS } from '../../scripts/observability/causes.ts';
import { SLO_GROUPS } from '../../scripts/observability/slo.ts';
import { promtool } from '../support/promtool.ts';

const ROOT = join(import.meta.dirname, '../..');
const API = ['monitoring.coreos.com/v1', 'keda.sh/v1alpha1', 'gateway.networking.k8s.io/v1'];
const LAPTOP = join(CHART, 'samples/laptop.yaml');
const TWO_POOLS = join(CHART, 'samples/two-pools.yaml');

/** Everything that alerts can be about. */
const ALL: JsonObject = {
  monitoring: { rules: { enabled: true, selectors: { redis: 'namespace="redis",pod="voice-0"' } } },
  jobs: { enabled: true, s3: { bucket: 'recordings' } },
  gateway: { tls: { existingSecret: 'certificate' } },
  loadTest: { enabled: true },
};

/** On a laptop, with settings of rules. */
function laptop(rules: JsonObject = {}, rest: JsonObject = {}): RenderOptions {
  return {
    values: [LAPTOP, { ...rest, monitoring: { rules: { enabled: true, ...rules } } }],
    apiVersions: API,
  };
}
const everything: RenderOptions = { values: [TWO_POOLS, ALL], apiVersions: API };

const rendered = new Map<string, JsonObject[]>();

function groupsOf(options: RenderOptions): JsonObject[] {
  const key = JSON.stringify(options);
  let groups = rendered.get(key);
  if (groups === undefined) {
    const rule = renderChart(options).find(({ kind }) => kind === 'PrometheusRule');
    groups = listAt(rule, 'spec', 'groups');
    rendered.set(key, groups);
  }
  return groups;
}
const rulesOf = (options: RenderOptions): JsonObject[] =>
  groupsOf(options).flatMap((group) => listAt(group, 'rules'));
const alertsOf = (options: RenderOptions): JsonObject[] =>
  rulesOf(options).filter((rule) => 'alert' in rule);
const namesOf = (options: RenderOptions): string[] =>
  alertsOf(options).map(({ alert }) => String(alert));
const exprOf = (options: RenderOptions, alert: string): string =>
  String(alertsOf(options).find((rule) => rule['alert'] === alert)?.['expr']);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'voice-chart-rules-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Writes groups as Prometheus reads them. JSON is YAML. */
function rulesFile(name: string, groups: readonly JsonObject[]): string {
  const path = join(folder, `${name}.rules.yaml`);
  writeFileSync(path, JSON.stringify({ groups }));
  return path;
}

/** These alerts and what they read, in one group, so that promtool has little to reckon. */
function groupAbout(alerts: readonly string[], options: RenderOptions, name: string): JsonObject {
  const all = rulesOf(options);
  const wanted = new Set(all.filter(({ alert }) => alerts.includes(String(alert))));
  for (const { expr } of wanted)
    for (const rule of all)
      if ('record' in rule && String(expr).includes(String(rule['record']))) wanted.add(rule);
  return { name, rules: all.filter((rule) => wanted.has(rule)) };
}

interface History {
  readonly rules: readonly RenderOptions[];
  /** A value a minute, in promtool's notation. */
  readonly series: Readonly<Record<string, string>>;
  readonly at: string;
  /** Names of alerts that fire then, with the fleet they are told of. */
  readonly fire: readonly (readonly [alert: string, fleet: string])[];
}

/** Runs promtool over a history; only these alerts may fire, among those named. */
async function tried(name: string, about: readonly string[], history: History) {
  const test = join(folder, `${name}.test.yaml`);
  const content = {
    rule_files: [
      rulesFile(
        name,
        history.rules.map((options, index) => groupAbout(about, options, `release-${index}`)),
      ),
    ],
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: Object.entries(history.series).map(([series, values]) => ({
          series,
          values,
        })),
        promql_expr_test: [
          {
            expr: 'count by (alertname, fleet) (ALERTS{alertstate="firing"})',
            eval_time: history.at,
            exp_samples: history.fire.map(([alert, fleet]) => ({
              labels: `{alertname="${alert}",fleet="${fleet}"}`,
              value: 1,
            })),
          },
        ],
      },
    ],
  };
  writeFileSync(test, JSON.stringify(content));
  expect(await promtool(['test', 'rules', test])).toEqual({
    code: 0,
    text: expect.stringContaining('SUCCESS'),
  });
}

/** Series of a pool of which so many of a hundred slots are taken. */
const taken = (fleet: string, namespace: string, used: number): Record<string, string> => {
  const labels = `namespace="${namespace}",fleet="${fleet}",pool="cpu"`;
  return {
    [`voice_worker_slots{${labels}}`]: '100x30',
    [`voice_worker_slots_used{${labels}}`]: `${used}x30`,
  };
};

describe('rules of the chart', () => {
  it.each([
    ['on a laptop', laptop()],
    ['of everything', everything],
    [
      'with other settings',
      laptop({
        objectives: { admission: 0.99, firstPartialSeconds: 1, finalSeconds: 2 },
        thresholds: { poolSaturation: 0.75, certificateDays: 30, eventLoopLagSeconds: 0.00001 },
        selectors: { own: 'cluster="a",job=~"voice-.+"', redis: 'pod="r"', gpu: 'Hostname="n"' },
      }),
    ],
  ])('%s are without fault to promtool and its linter', async (name, options) => {
    const path = rulesFile(name.replaceAll(' ', '-'), groupsOf(options));
    expect(await promtool(['check', 'rules', '--lint=all', path])).toMatchObject({ code: 0 });
  });

  it('are those that are declared, all of them where everything is installed', () => {
    const declared = [...SLO_GROUPS, ...CAUSE_GROUPS].flatMap(({ rules }) => rules);
    const names = (rules: readonly object[]): unknown[] =>
      rules.map((rule) => ('record' in rule ? rule.record : (rule as JsonObject)['alert']));
    expect(names(rulesOf(everything))).toEqual(names(declared));
  });

  it('tell of each alert how urgent it is, what it is about, which fleet it is of, and what to do', () => {
    for (const rule of alertsOf(everything)) {
      const labels = mapAt(rule, 'labels');
      expect(labels).toMatchObject({ namespace: 'speech', fleet: 'speech.voice' });
      expect(['page', 'ticket']).toContain(labels['severity']);
      const { summary, runbook_url: runbook } = mapAt(rule, 'annotations');
      expect(String(summary)).toMatch(/^[A-Z].{20,}\.$/s);
      expect(String(summary)).not.toMatch(/%[a-zA-Z]+%|<no value>|\{\{ \./);
      expect([runbook, existsSync(join(ROOT, String(runbook)))]).toEqual([runbook, true]);
    }
  });

  it('put the address of runbooks before their path, and own labels on alerts', () => {
    const options = laptop({
      runbookBaseUrl: 'https://example.com/voice/',
      alertLabels: { team: 'speech', severity: 'none' },
    });
    const [alert] = alertsOf(options);
    expect(at(alert, 'annotations', 'runbook_url')).toBe(
      'https://example.com/voice/docs/operations/runbooks/slo-admission.md',
    );
    expect(mapAt(alert, 'labels')).toMatchObject({ team: 'speech', severity: 'page' });
  });

  it('leave out alerts on what is not installed, and those that are disabled', () => {
    const here = namesOf(laptop({ disabled: ['VoiceClientsWait'] }));
    const left = namesOf(everything).filter((name) => !here.includes(name));
    expect(left.sort()).toEqual([
      'VoiceAutoscalerAtMax',
      'VoiceAutoscalerBlind',
      'VoiceCertificateEnds',
      'VoiceClientsWait',
      'VoiceGpuFault',
      'VoiceJobsQuarantined',
      'VoiceJobsStalled',
      'VoiceLoadTestFailed',
      'VoiceRedisMayEvict',
      'VoiceRedisMemoryHigh',
      'VoiceScalerErrors',
    ]);
    const without = namesOf(laptop({}, { llmTts: { enabled: false }, gateway: { replicas: 0 } }));
    expect(here.filter((name) => !without.includes(name)).sort()).toEqual([
      'VoiceGatewayAbsent',
      'VoiceLlmTtsAbsent',
      'VoiceTurnsFail',
    ]);
    expect(namesOf(laptop({}, { pools: { cpu: { replicas: 0 } } }))).not.toContain(
      'VoiceWorkerAbsent',
    );
  });

  it.each([
    [{ disabled: ['VoiceNothing'] }, 'names VoiceNothing, which is no alert; they are'],
    [{ objectives: { finalSeconds: 1.2 } }, 'finalSeconds is 1.2, which no histogram has'],
    [{ objectives: { firstPartialSeconds: 4 } }, 'take one of 0.05, 0.1, 0.2'],
    [{ objectives: { admission: 1 } }, '/monitoring/rules/objectives/admission'],
    [{ objectives: { final: 0.9 } }, '/monitoring/rules/objectives/final'],
    [{ objectives: { latency: 1 } }, "'latency' not allowed"],
    [{ selectors: { own: '{job="a"}' } }, '/monitoring/rules/selectors/own'],
    [{ thresholds: { poolSaturation: 90 } }, '/monitoring/rules/thresholds/poolSaturation'],
  ])('refuse %j', (rules, why) => {
    expect(renderError(laptop(rules as JsonObject))).toContain(why);
  });
});

describe('settings of rules', () => {
  it('change when an alert on a cause fires', async () => {
    const history = { series: taken('speech.voice', 'speech', 80), at: '20m' };
    const alerts = ['VoicePoolSaturated'];
    await tried('default', alerts, { ...history, rules: [laptop()], fire: [] });
    await tried('early', alerts, {
      ...history,
      rules: [laptop({ thresholds: { poolSaturation: 0.75 } })],
      fire: [['VoicePoolSaturated', 'speech.voice']],
    });
  });

  it('change what an objective counts, as Prometheus 2 and 3 write whole bounds', async () => {
    const name = 'voice_worker_asr_final_latency_seconds';
    // All finals come between 1.5 s and 2 s after the end.
    const history = (le: string) => {
      const own = 'namespace="speech",fleet="speech.voice",pool="cpu"';
      const series = {
        [`${name}_count{${own}}`]: '0+60x90',
        [`${name}_bucket{${own},le="1.5"}`]: '0x90',
        [`${name}_bucket{${own},le="${le}"}`]: '0+60x90',
      };
      return { series, at: '80m' };
    };
    const alerts = ['VoiceFinalBurnFast'];
    await tried('bound', alerts, {
      ...history('2'),
      rules: [laptop()],
      fire: [['VoiceFinalBurnFast', 'speech.voice']],
    });
    const rules = [laptop({ objectives: { finalSeconds: 2 } })];
    for (const le of ['2', '2.0'])
      await tried(`bound-${le}`, alerts, { ...history(le), rules, fire: [] });
  });

  it('say how much worse a canary may be', async () => {
    const own = 'namespace="speech",fleet="speech.voice",job="asr-worker"';
    const worker = (instance: string, version: string, failed: number) => ({
      [`voice_build_info{${own},instance="${instance}",service="asr-worker",pool="cpu",version="${version}"}`]:
        '1x60',
      [`voice_worker_utterances_total{${own},instance="${instance}",outcome="final"}`]: '0+10x60',
      [`voice_worker_utterances_total{${own},instance="${instance}",outcome="failed"}`]: `0+${failed}x60`,
    });
    const history = { series: { ...worker('a', '1', 0.5), ...worker('b', '2', 2) }, at: '50m' };
    const alerts = ['VoiceCanaryFails'];
    await tried('canary', alerts, {
      ...history,
      rules: [laptop()],
      fire: [['VoiceCanaryFails', 'speech.voice']],
    });
    await tried('canary-far', alerts, {
      ...history,
      rules: [laptop({ thresholds: { canaryFactor: 5 } })],
      fire: [],
    });
  });

  it('give drains and starts as long as the slowest pool may take', () => {
    const lasting = (options: RenderOptions, name: string) =>
      alertsOf(options).find(({ alert }) => alert === name)?.['for'];
    const slow = laptop({}, { pools: { cpu: { drainSeconds: 600 } } });
    expect(lasting(slow, 'VoiceWorkerDrainsTooLong')).toBe('780s');
    expect(lasting(slow, 'VoiceWorkloadDown')).toBe('300s');
    expect(lasting(everything, 'VoiceWorkloadDown')).toBe('1200s');
  });

  it('tell which Redis, which cards and whose services', () => {
    expect(exprOf(everything, 'VoiceRedisMemoryHigh')).toContain(
      'redis_memory_used_bytes{namespace="redis",pod="voice-0"}',
    );
    const expr = exprOf(laptop({ selectors: { own: 'cluster="a"' } }), 'VoicePoolSaturated');
    expect(expr).toContain('voice_worker_slots_used{cluster="a"}');
    const burn = exprOf(laptop({ selectors: { own: 'cluster="a"' } }), 'VoiceAdmissionBurnFast');
    // What this release has recorded carries its labels, wherever it was read from.
    expect(burn).toContain('{namespace="speech",fleet="speech.voice"}');
  });
});

describe('two releases in one Prometheus', () => {
  const other: RenderOptions = { ...laptop(), release: 'other', namespace: 'elsewhere' };

  it('are each asked about by name in every series of every rule', () => {
    for (const { expr, alert, record } of rulesOf(everything)) {
      const text = String(expr);
      // Every selector that there is, and no series without one.
      const selectors = text.match(/[\w:]+\{[^}]*\}/g) ?? [];
      expect([alert ?? record, selectors.length]).toEqual([
        alert ?? record,
        seriesOf(text).filter((name) => !/^\d/.test(name)).length,
      ]);
      for (const selector of selectors) {
        const redis = selector.startsWith('redis_');
        const owner = redis ? /namespace="redis"/ : /[{,](?:exported_)?namespace="speech"/;
        expect([selector, owner.test(selector)]).toEqual([selector, true]);
        if (/^(?:voice|nodejs)/.test(selector)) expect(selector).toContain('fleet="speech.voice"');
      }
    }
  });

  it('do not fire for each other', async () => {
    const series = {
      ...taken('speech.voice', 'speech', 50),
      ...taken('elsewhere.other', 'elsewhere', 100),
      // Told by kube-state-metrics, once with its own labels honoured and once not.
      'kube_pod_deletion_timestamp{namespace="speech",pod="voice-asr-worker-cpu-0"}': '0x30',
      'kube_pod_deletion_timestamp{namespace="m",exported_namespace="elsewhere",pod="ksm",exported_pod="other-gateway-a"}':
        '0x30',
      'kube_pod_deletion_timestamp{namespace="speech",pod="other-gateway-a"}': '0x30',
    };
    await tried('two', ['VoicePoolSaturated', 'VoicePodTerminating'], {
      rules: [laptop(), other],
      series,
      at: '20m',
      fire: [
        ['VoicePoolSaturated', 'elsewhere.other'],
        ['VoicePodTerminating', 'speech.voice'],
        ['VoicePodTerminating', 'elsewhere.other'],
      ],
    });
  });

  it('record series of their own', () => {
    const owners = [laptop(), other].map((options) => {
      const records = rulesOf(options).filter((rule) => 'record' in rule);
      const whose = records.map((rule) => {
        const { namespace, fleet } = mapAt(rule, 'labels');
        return `${String(namespace)}/${String(fleet)}`;
      });
      return [...new Set(whose)];
    });
    expect(owners).toEqual([['speech/speech.voice'], ['elsewhere/elsewhere.other']]);
  });
});
