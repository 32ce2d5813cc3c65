import type { Finding } from './finding.ts';
import { type KubernetesObject, nameOf } from './kubernetes-object.ts';
import { plainFaults } from './plain-faults.ts';
import { watchReads } from './seen-keys.ts';

/** Packages with the models of the API groups that do not belong to Kubernetes itself. */
const PACKAGES: Readonly<Record<string, string>> = {
  'keda.sh': '@kubernetes-models/keda',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
  'gateway.networking.k8s.io': '@kubernetes-models/gateway-api',
};

interface Model {
  readonly prototype: { readonly validate: (this: unknown) => void };
}

interface ModelError {
  readonly errors?: readonly { readonly instancePath: string; readonly message?: string }[];
}

/**
 * Checks objects against the schemas of the npm packages kubernetes-models: types, required keys, enums and formats, and by
 * what the validators read also keys that nobody knows. Kinds that are in none of the packages are told.
 */
export async function modelFindings(objects: readonly KubernetesObject[]): Promise<Finding[]> {
  const found: Finding[] = [];
  // One after the other: Jest cannot link two modules at once that import a third.
  for (const object of objects) found.push(...(await findingsOf(object)));
  return found;
}

async function findingsOf(object: KubernetesObject): Promise<Finding[]> {
  const finding = (path: string, message: string): Finding => ({
    rule: 'schema',
    object: nameOf(object),
    path,
    message,
  });
  let model: Model | undefined;
  try {
    model = await modelOf(object);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const kind = `${object.apiVersion} ${object.kind}`;
    return [finding('', `there is no schema of ${kind} (${reason})`)];
  }
  if (!model) throw new Error(`the module of ${object.kind} has no such model`);
  const watched = watchReads(object);
  const found = plainFaults(object);
  try {
    model.prototype.validate.call(watched.object);
  } catch (error) {
    const { errors } = error as ModelError;
    if (!errors) throw error;
    for (const { instancePath, message } of errors) {
      found.push(finding(dotted(instancePath), message ?? 'is not as the schema has it'));
    }
  }
  for (const path of watched.unread()) found.push(finding(path, 'is a key that nobody knows'));
  return found;
}

async function modelOf({ apiVersion, kind }: KubernetesObject): Promise<Model | undefined> {
  const group = apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
  const path = `${PACKAGES[group] ?? 'kubernetes-models'}/${apiVersion}/${kind}`;
  const module = (await import(path)) as Readonly<Record<string, Model>>;
  return module[kind];
}

/** `/spec/containers/0/name` as `spec.containers[0].name`. */
export function dotted(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part, index) => (/^\d+$/.test(part) ? `[${part}]` : index === 0 ? part : `.${part}`))
    .join('');
}
