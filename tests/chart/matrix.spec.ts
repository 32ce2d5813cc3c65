import { describe, expect, it } from '@jest/globals';
import { line } from '../../scripts/chart/finding.ts';
import { CHART, HELM_MAJORS, helm } from '../../scripts/chart/helm.ts';
import { matrix, samples } from '../../scripts/chart/matrix.ts';
import { modelFindings } from '../../scripts/chart/model-validator.ts';
import { renderChart, renderText } from '../../scripts/chart/render.ts';
import { ruleFindings } from '../../scripts/chart/rules/all-rules.ts';

const plain = (text: string): string => text.replaceAll(/\n\s*\n/g, '\n').trim();

describe.each(HELM_MAJORS)('helm %s', (major) => {
  it('has nothing to say about the chart, with any sample', () => {
    const files = samples().flatMap((path) => ['--values', path]);
    const { code, stdout, stderr } = helm(major, ['lint', '--strict', CHART, ...files]);
    expect({ code, told: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, told: '' });
  });
});

describe('the chart', () => {
  it.each(matrix().map((one) => [one.name, one] as const))(
    'is right with %s, and the same by both helms',
    async (_name, { options, except }) => {
      const objects = renderChart(options);
      const found = [...(await modelFindings(objects)), ...ruleFindings(objects)];
      expect(found.filter(({ rule }) => !except.includes(rule)).map(line)).toEqual([]);
      // What an exception is made for is there: else it would hide what comes later.
      for (const rule of except) expect(found.map((one) => one.rule)).toContain(rule);
      expect(plain(renderText({ ...options, helm: 3 }))).toBe(plain(renderText(options)));
    },
  );
});
