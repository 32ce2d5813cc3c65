import type { AlertRule, RecordingRule, RuleGroup } from './rule.ts';
import { fill, plainTexts } from './settings.ts';

type Rule = RecordingRule | AlertRule;

/** Groups as a Prometheus reads them that sees one fleet: with defaults, and without names of namespaces or releases. */
export function plainGroups(declared: readonly RuleGroup[]): readonly RuleGroup[] {
  const texts = plainTexts();
  return eachRule(declared, (rule) => [eachText(rule, (text) => written(text, texts))]);
}

const written = (text: string, texts: Readonly<Record<string, string>>): string =>
  fill(text, (name) => texts[name])
    // Where a matcher is empty.
    .replaceAll('{,', '{')
    .replaceAll('{}', '');

/** Changes each rule; groups that keep none are left out. */
export function eachRule(
  groups: readonly RuleGroup[],
  change: (rule: Rule) => readonly Rule[],
): readonly RuleGroup[] {
  return groups
    .map((group) => ({ ...group, rules: group.rules.flatMap(change) }))
    .filter(({ rules }) => rules.length > 0);
}

/** Changes all texts of a rule but its name. */
export function eachText(rule: Rule, change: (text: string) => string): Rule {
  if ('record' in rule) return { ...rule, expr: change(rule.expr) };
  return {
    ...rule,
    expr: change(rule.expr),
    summary: change(rule.summary),
    ...(rule.for !== undefined && { for: change(rule.for) }),
  };
}
