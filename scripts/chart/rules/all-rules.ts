import type { Finding } from '../finding.ts';
import { type KubernetesObject, nameOf } from '../kubernetes-object.ts';
import { CONTAINERS } from './containers.ts';
import { LIFECYCLE } from './lifecycle.ts';
import { NAMES } from './names.ts';
import { POD_SECURITY } from './pod-security.ts';
import type { Rule } from './rule.ts';
import { SECRETS } from './secrets.ts';
import { WIRING } from './wiring.ts';

/** What every object of a release is held against. */
export const RULES: readonly Rule[] = [
  ...POD_SECURITY,
  ...CONTAINERS,
  ...SECRETS,
  ...NAMES,
  ...WIRING,
  ...LIFECYCLE,
];

/** All that is wrong with the objects of a release. */
export function ruleFindings(objects: readonly KubernetesObject[]): Finding[] {
  return RULES.flatMap((rule) =>
    objects.flatMap((object) =>
      [...rule.check(object, objects)].map((problem) => ({
        rule: rule.id,
        object: nameOf(object),
        ...problem,
      })),
    ),
  );
}
