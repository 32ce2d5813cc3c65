import { type JsonObject, listAt, mapAt, nameOf } from '../kubernetes-object.ts';
import { type Problem, podOf, type Rule } from './rule.ts';

const LONGEST = 63;
/** What controllers put behind the name of a pod's owner: `-7f9c6d5b4-x2x7w`, `-12` of a job of a CronJob and so on. */
const OWN_ROOM: Readonly<Record<string, number>> = { CronJob: 11, StatefulSet: 11, Job: 0 };
const LABELS = [
  'app.kubernetes.io/name',
  'app.kubernetes.io/instance',
  'app.kubernetes.io/version',
  'app.kubernetes.io/managed-by',
  'app.kubernetes.io/part-of',
  'helm.sh/chart',
];
/** They change with each release, and a selector of a Deployment can never be changed. */
const CHANGING = ['app.kubernetes.io/version', 'app.kubernetes.io/managed-by', 'helm.sh/chart'];
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;

/** What objects are called, and how they are found. */
export const NAMES: readonly Rule[] = [
  {
    id: 'name',
    meaning: 'A name fits where Kubernetes makes labels and host names of it.',
    fix: 'Make it shorter, in small letters, digits and dashes.',
    *check(object): Iterable<Problem> {
      const { name } = object.metadata;
      const most = LONGEST - (OWN_ROOM[object.kind] ?? 0);
      if (name.length > most) {
        yield { path: 'metadata.name', message: `has ${name.length} characters of ${most}` };
      }
      const dotted = object.apiVersion.startsWith('rbac.') || object.kind === 'ConfigMap';
      const pattern = dotted
        ? /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/
        : /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
      if (!pattern.test(name)) yield { path: 'metadata.name', message: `is "${name}"` };
    },
  },
  {
    id: 'name-unique',
    meaning: 'A release has no object twice.',
    fix: 'Give each object a name of its own.',
    *check(object, all): Iterable<Problem> {
      const key = ({ apiVersion, kind, metadata }: typeof object): string =>
        [apiVersion.split('/')[0], kind, metadata['namespace'] ?? '', metadata.name].join(' ');
      const first = all.find((one) => key(one) === key(object));
      if (first !== object)
        yield { path: 'metadata.name', message: `${nameOf(object)} is there twice` };
    },
  },
  {
    id: 'labels',
    meaning:
      'Objects and pods carry the labels that Kubernetes recommends, so that tools find them.',
    fix: 'Use the labels of the chart.',
    *check(object): Iterable<Problem> {
      const own = mapAt(object, 'metadata', 'labels');
      for (const label of LABELS.filter((one) => own[one] === undefined)) {
        yield { path: 'metadata.labels', message: `lacks ${label}` };
      }
      const pod = object.kind === 'Pod' ? undefined : podOf(object);
      for (const label of [...LABELS.slice(0, 2), 'app.kubernetes.io/component']) {
        if (pod && pod.labels[label] === undefined) {
          yield {
            path: `${pod.path.replace(/spec$/, '')}metadata.labels`,
            message: `lacks ${label}`,
          };
        }
      }
    },
  },
  {
    id: 'label-values',
    meaning: 'Labels hold what Kubernetes takes as labels.',
    fix: 'Use up to 63 letters, digits, dashes, dots and underscores.',
    *check(object): Iterable<Problem> {
      const pod = podOf(object);
      const places: [string, JsonObject][] = [
        ['metadata.labels', mapAt(object, 'metadata', 'labels')],
        [`${pod?.path}.metadata.labels`, pod?.labels ?? {}],
      ];
      for (const [path, labels] of places) {
        for (const [key, value] of Object.entries(labels)) {
          const text = String(value);
          if (text.length <= LONGEST && LABEL_VALUE.test(text)) continue;
          yield { path: `${path}.${key}`, message: `is "${text}"` };
        }
      }
    },
  },
  {
    id: 'selector-stable',
    meaning:
      'Selectors hold only labels that no upgrade changes: most selectors can never be changed.',
    fix: 'Select by name, instance, component and pool.',
    *check(object): Iterable<Problem> {
      for (const way of [
        ['spec', 'selector', 'matchLabels'],
        ['spec', 'selector'],
        ['spec', 'podSelector', 'matchLabels'],
      ]) {
        const labels = mapAt(object, ...way);
        for (const key of CHANGING.filter((one) => one in labels)) {
          yield { path: way.join('.'), message: `has ${key}` };
        }
      }
      for (const claim of listAt(object, 'spec', 'volumeClaimTemplates')) {
        const labels = mapAt(claim, 'metadata', 'labels');
        for (const key of CHANGING.filter((one) => one in labels)) {
          yield {
            path: 'spec.volumeClaimTemplates',
            message: `has ${key}, and can never be changed`,
          };
        }
      }
    },
  },
  {
    id: 'selector-own',
    meaning:
      'A selector names its release: two releases in one namespace do not take each other’s pods.',
    fix: 'Select by app.kubernetes.io/instance too.',
    *check(object): Iterable<Problem> {
      const spec = mapAt(object, 'spec');
      const service = object.kind === 'Service' ? mapAt(spec, 'selector') : undefined;
      const others = [
        mapAt(spec, 'selector', 'matchLabels'),
        mapAt(spec, 'podSelector', 'matchLabels'),
      ];
      for (const labels of service ? [service] : others) {
        if (Object.keys(labels).length > 0 && !labels['app.kubernetes.io/instance']) {
          yield { path: 'spec', message: 'selects without app.kubernetes.io/instance' };
        }
      }
    },
  },
];
