import { parseAllDocuments } from 'yaml';
import { CHART, type HelmMajor, helm } from './helm.ts';
import { isObject, type JsonObject, type KubernetesObject } from './kubernetes-object.ts';

/** Values as `--values` takes them: the path of a file, or what would be in one. */
export type Values = string | JsonObject;

export interface RenderOptions {
  /** Later ones win. */
  readonly values?: Values | readonly Values[];
  /** As for `--set`: `pools.l40s.replicas=3`. */
  readonly set?: readonly string[];
  readonly release?: string;
  readonly namespace?: string;
  /** Of the cluster that is rendered for, such as `1.29`. */
  readonly kubeVersion?: string;
  /** What the cluster has beside the built-in ones, such as `keda.sh/v1alpha1`. */
  readonly apiVersions?: readonly string[];
  /** As an upgrade of a release, rather than its first installation. */
  readonly upgrade?: boolean;
  readonly helm?: HelmMajor;
  /** The folder of another chart than ours. */
  readonly chart?: string;
}

const DEFAULTS = { release: 'voice', namespace: 'speech', helm: 4 as HelmMajor, chart: CHART };
const rendered = new Map<string, string>();

/** The objects that `helm template` makes, hooks included. Throws with what helm has to say. */
export function renderChart(options: RenderOptions = {}): KubernetesObject[] {
  return readObjects(renderText(options));
}

/** What `helm template` prints. The same question is asked once in a process. */
export function renderText(options: RenderOptions = {}): string {
  const key = JSON.stringify(options);
  const known = rendered.get(key);
  if (known !== undefined) return known;
  const { code, stdout, stderr } = template(options);
  if (code !== 0) throw new Error(stderr.trim());
  rendered.set(key, stdout);
  return stdout;
}

/** Why helm refuses to render; throws where it does not refuse. */
export function renderError(options: RenderOptions): string {
  const { code, stderr } = template(options);
  if (code === 0) throw new Error('helm has rendered what it should have refused');
  return stderr.trim();
}

/** What people are told after `helm install`: NOTES.txt. Helm 4 alone can tell without a cluster. */
export function renderNotes(options: Omit<RenderOptions, 'helm'> = {}): string {
  const { release, chart } = { ...DEFAULTS, ...options };
  const { args, input } = argumentsFor(options);
  const all = ['install', release, chart, '--dry-run=client', ...args];
  const { code, stdout, stderr } = helm(4, all, input);
  if (code !== 0) throw new Error(stderr.trim());
  const [, notes] = stdout.split(/^NOTES:\n/m);
  return notes ?? '';
}

function template(options: RenderOptions) {
  const { release, chart, helm: major, kubeVersion, upgrade } = { ...DEFAULTS, ...options };
  const { args, input } = argumentsFor(options);
  const all = ['template', release, chart, ...args];
  if (kubeVersion !== undefined) all.push('--kube-version', kubeVersion);
  for (const version of options.apiVersions ?? []) all.push('--api-versions', version);
  if (upgrade === true) all.push('--is-upgrade');
  return helm(major, all, input);
}

/** Values that are no file are one, which helm reads from its input. */
function argumentsFor({ values = [], set = [], namespace = DEFAULTS.namespace }: RenderOptions) {
  const list = (Array.isArray(values) ? values : [values]) as readonly Values[];
  const files = list.filter((one) => typeof one === 'string');
  const [own, ...others] = list.filter((one) => typeof one !== 'string');
  if (others.length > 0 || (own && typeof list.at(-1) === 'string')) {
    throw new Error('values that are no file go last, and there is one of them');
  }
  const args = ['--namespace', namespace];
  for (const file of files) args.push('--values', file);
  if (own) args.push('--values', '-');
  for (const one of set) args.push('--set', one);
  return { args, input: own ? JSON.stringify(own) : '' };
}

/** Parses YAML as Kubernetes does: 1.1, where `yes` is true, but without its dates and base-60 numbers. */
export function readObjects(text: string): KubernetesObject[] {
  const documents = parseAllDocuments(text, {
    version: '1.1',
    customTags: (tags) =>
      tags.filter(
        (tag) => typeof tag === 'string' || !isTime(tag as { format?: string; tag: string }),
      ),
  });
  const objects: KubernetesObject[] = [];
  for (const document of documents) {
    if (document.errors[0]) throw document.errors[0];
    const value: unknown = document.toJS();
    if (value === null || value === undefined) continue;
    if (!isKubernetesObject(value)) {
      throw new Error(`this is no Kubernetes object: ${JSON.stringify(value).slice(0, 200)}`);
    }
    objects.push(value);
  }
  return objects;
}

function isTime({ format, tag }: { readonly format?: string; readonly tag: string }): boolean {
  return format === 'TIME' || tag === 'tag:yaml.org,2002:timestamp';
}

function isKubernetesObject(value: unknown): value is KubernetesObject {
  return (
    isObject(value) &&
    typeof value['apiVersion'] === 'string' &&
    typeof value['kind'] === 'string' &&
    isObject(value['metadata']) &&
    typeof value['metadata']['name'] === 'string'
  );
}
