import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CAUSE_GROUPS } from '../../scripts/observability/causes.ts';
import { DASHBOARDS } from '../../scripts/observability/dashboards.ts';
import {
  type AlertRule,
  type RecordingRule,
  RUNBOOKS,
  type RuleGroup,
  rulesFile,
} from '../../scripts/observability/rule.ts';
import {
  BURNS,
  eventsOf,
  ratioOf,
  SLO_GROUPS,
  SLOS,
  type Slo,
} from '../../scripts/observability/slo.ts';
import { type AlertCase, BURN_CASES, testGroup } from '../support/alert-cases.ts';
import { CAUSE_CASES } from '../support/cause-cases.ts';
import { promtool, type Ran } from '../support/promtool.ts';

const ROOT = join(import.meta.dirname, '../..');
const groups = [...SLO_GROUPS, ...CAUSE_GROUPS];
const alerts = groups
  .flatMap(({ rules }) => rules)
  .filter((rule): rule is AlertRule => 'alert' in rule);
const cases = [...BURN_CASES, ...CAUSE_CASES];
const file = (name: string): string =>
  readFileSync(join(ROOT, 'charts/voice-fleet/rules', name), 'utf8');

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'voice-rules-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs promtool's tests of these cases against rules as they are written in a file. */
async function tried(name: string, rules: string, tests: readonly AlertCase[]): Promise<Ran> {
  const rulesPath = join(folder, `${name}.rules.yaml`);
  const testPath = join(folder, `${name}.test.yaml`);
  writeFileSync(rulesPath, rules);
  const evaluation = tests[0]?.interval ?? '1m';
  const groupOf = (test: AlertCase): object => {
    const rule = alerts.find(({ alert }) => alert === test.alert);
    if (rule === undefined) throw new Error(`there is no alert ${test.alert}`);
    return testGroup(rule, test);
  };
  writeFileSync(
    testPath,
    JSON.stringify({
      rule_files: [rulesPath],
      evaluation_interval: evaluation,
      group_eval_order: [...rules.matchAll(/^ {2}- name: (.*)$/gm)].map(([, group]) => group),
      tests: tests.map(groupOf),
    }),
  );
  return await promtool(['test', 'rules', testPath]);
}

type Burn = (typeof BURNS)[number];

const burnCases = (slo: Slo, burn: Burn): AlertCase[] =>
  BURN_CASES.filter(({ alert }) => alert === `${slo.alert}Burn${burn.name}`);

/** One alert and what it reads, so that promtool has little to reckon; less the line of one window. */
function burnGroups(slo: Slo, burn: Burn, less?: string): RuleGroup[] {
  const groups = SLO_GROUPS.map((group) => ({
    ...group,
    rules: group.rules.flatMap((rule): (AlertRule | RecordingRule)[] => {
      if ('record' in rule) {
        const read = [burn.long, burn.short].flatMap((window) => [
          ratioOf(slo, window),
          eventsOf(slo, window),
        ]);
        return read.includes(rule.record) ? [rule] : [];
      }
      if (rule.alert !== `${slo.alert}Burn${burn.name}`) return [];
      const lines = rule.expr.split('\n').filter((line) => !line.includes(`ratio_rate${less} `));
      expect(lines).toHaveLength(less === undefined ? 3 : 2);
      return [{ ...rule, expr: lines.join('\n').replace(/^and /, '') }];
    }),
  }));
  return groups.filter(({ rules }) => rules.length > 0);
}

describe('rules', () => {
  it('are without fault to promtool and its linter', async () => {
    for (const name of ['slo.yaml', 'causes.yaml']) {
      const path = join(ROOT, 'charts/voice-fleet/rules', name);
      const { code, text } = await promtool(['check', 'rules', '--lint=all', path]);
      expect({ code, text }).toMatchObject({ code: 0 });
    }
  });

  it('have an own name each', () => {
    const names = alerts.map(({ alert }) => alert);
    expect(new Set(names).size).toBe(names.length);
  });

  it('are each tried: that they fire, stay quiet, resolve, and what they do without data', () => {
    for (const { alert } of alerts) {
      const behaviours = cases.filter((one) => one.alert === alert).map((one) => one.behaviour);
      expect([alert, behaviours.some((one) => one === 'fires')]).toEqual([alert, true]);
      expect([alert, behaviours.some((one) => one.startsWith('stays quiet'))]).toEqual([
        alert,
        true,
      ]);
      expect([alert, behaviours.some((one) => one.startsWith('resolves'))]).toEqual([alert, true]);
      expect([alert, behaviours.some((one) => one.endsWith('without data'))]).toEqual([
        alert,
        true,
      ]);
    }
  });

  it('are written down as they are declared', () => {
    expect(file('slo.yaml')).toBe(rulesFile(SLO_GROUPS));
    expect(file('causes.yaml')).toBe(rulesFile(CAUSE_GROUPS));
  });

  it.each(BURNS.map((burn) => [burn.name, burn] as const))(
    'of budgets that burn %s do in each of these histories what they should',
    async (name, burn) => {
      const ran = SLOS.map(async (slo) => {
        const rules = rulesFile(burnGroups(slo, burn));
        return await tried(`${slo.name}-${name}`, rules, burnCases(slo, burn));
      });
      for (const result of await Promise.all(ran)) expect(result).toMatchObject({ code: 0 });
    },
  );

  it('of causes do in each of these histories what they should', async () => {
    const causes = CAUSE_GROUPS.flatMap(({ rules }) => rules);
    const recorded = causes.filter((rule): rule is RecordingRule => 'record' in rule);
    const ran = causes.flatMap((rule) => {
      if ('record' in rule) return [];
      const { alert, expr } = rule;
      const read = recorded.filter(({ record }) => expr.includes(record));
      const tests = CAUSE_CASES.filter((one) => one.alert === alert);
      return tried(alert, rulesFile([{ name: 'voice-causes', rules: [...read, rule] }]), tests);
    });
    for (const result of await Promise.all(ran)) expect(result).toMatchObject({ code: 0 });
  });

  it.each(
    BURNS.flatMap((burn) => [
      [burn.name, burn.long, 'stays quiet in a short spike', burn] as const,
      [burn.name, burn.short, 'resolves soon after its cause', burn] as const,
    ]),
  )('of budgets that burn %s fail without the window of %s: each %s', async (...args) => {
    const [name, window, behaviour, burn] = args;
    const ran = SLOS.map(async (slo) => {
      const tests = burnCases(slo, burn).filter((test) => test.behaviour === behaviour);
      const rules = rulesFile(burnGroups(slo, burn, window));
      const { code, text } = await tried(`${slo.name}-${name}-${window}`, rules, tests);
      expect(code).not.toBe(0);
      expect(text).toContain(`name: ${slo.alert}Burn${name} ${behaviour}`);
    });
    await Promise.all(ran);
  });
});

describe('runbooks', () => {
  it.each(alerts.map(({ alert, runbook }) => [alert, runbook]))(
    'of %s says what it means, where to look and what to do',
    (alert, runbook) => {
      const path = join(ROOT, RUNBOOKS, `${runbook}.md`);
      expect([path, existsSync(path)]).toEqual([path, true]);
      const text = readFileSync(path, 'utf8');
      expect(text).toContain(alert.replace(/Burn\w+$/, 'Burn'));
      for (const part of ['## What it means', '## Look', '## Do'])
        expect(text.split(part)[1]?.split('\n## ')[0]?.trim().length ?? 0).toBeGreaterThan(80);
    },
  );

  it('lead to dashboards, rows and panels that are there', () => {
    const places = DASHBOARDS.flatMap(({ title, rows }) => [
      title.replace('Voice fleet / ', ''),
      ...rows.flatMap((row) => [row.title, ...row.panels.map((panel) => panel.title)]),
    ]);
    // A page of Prometheus.
    places.push('Targets');
    for (const runbook of new Set(alerts.map((alert) => alert.runbook))) {
      const text = readFileSync(join(ROOT, RUNBOOKS, `${runbook}.md`), 'utf8');
      for (const [, place = ''] of text.matchAll(/\*([^*\n]+)\*/g))
        expect([runbook, place, places.some((one) => one.startsWith(place))]).toEqual([
          runbook,
          place,
          true,
        ]);
    }
  });

  it('share no text but their headings', () => {
    const seen = new Map<string, string>();
    for (const runbook of new Set(alerts.map((alert) => alert.runbook))) {
      const text = readFileSync(join(ROOT, RUNBOOKS, `${runbook}.md`), 'utf8');
      for (const line of text.split('\n').filter((one) => one.length > 60)) {
        expect([line, seen.get(line)]).toEqual([line, undefined]);
        seen.set(line, runbook);
      }
    }
  });
});
