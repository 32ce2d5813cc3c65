import { quantity } from '../../../scripts/chart/quantity.ts';
import type { Container, EnvVar } from './objects.ts';

/** Keys of ConfigMaps and Secrets by the name of the object. */
export type Data = ReadonlyMap<string, Readonly<Record<string, string>>>;

/** What variables of a pod may be made of. */
export interface EnvSources {
  readonly configMaps: Data;
  readonly secrets: Data;
  /** What `fieldRef` finds, by its path. */
  readonly field: (path: string) => string | undefined;
  /** Of services of the namespace, and of Kubernetes itself. */
  readonly links: Readonly<Record<string, string>>;
}

type Reference = { name: string; key: string; optional?: boolean | undefined };

/** The environment of a container as a kubelet makes it: links, then envFrom, then env, in order. Throws for what is not there. */
export function containerEnv(container: Container, sources: EnvSources): Record<string, string> {
  const env: Record<string, string> = { ...sources.links };
  for (const { prefix, configMapRef, secretRef } of container.envFrom) {
    const [data, ref] = configMapRef
      ? [sources.configMaps, configMapRef]
      : [sources.secrets, secretRef];
    if (ref === undefined) continue;
    const found = data.get(ref.name);
    if (found === undefined && !ref.optional)
      throw new Error(`${container.name}: envFrom names ${ref.name}, which is not there`);
    for (const [key, value] of Object.entries(found ?? {})) env[`${prefix}${key}`] = value;
  }
  for (const variable of container.env) {
    const value = variableValue(variable, container, sources, env);
    if (value !== undefined) env[variable.name] = value;
  }
  return env;
}

/** `$(NAME)` of what is known stands for its value; `$$(NAME)` is `$(NAME)`; what is not known stays as it is. */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\$|\$\(([\w.-]+)\)/g, (match, name: string | undefined) => {
    if (match === '$$') return '$';
    return (name === undefined ? undefined : env[name]) ?? match;
  });
}

function variableValue(
  { name, value, valueFrom }: EnvVar,
  container: Container,
  sources: EnvSources,
  env: Readonly<Record<string, string>>,
): string | undefined {
  if (valueFrom === undefined) return expand(value ?? '', env);
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = valueFrom;
  const where = `${container.name}: ${name}`;
  if (fieldRef) {
    const found = sources.field(fieldRef.fieldPath);
    if (found === undefined) throw new Error(`${where} asks for ${fieldRef.fieldPath}`);
    return found;
  }
  if (configMapKeyRef) return keyOf(where, sources.configMaps, configMapKeyRef);
  if (secretKeyRef) return keyOf(where, sources.secrets, secretKeyRef);
  if (resourceFieldRef) return resourceOf(where, container, resourceFieldRef);
  throw new Error(`${where} has a valueFrom that this kubelet does not know`);
}

function keyOf(where: string, data: Data, { name, key, optional }: Reference): string | undefined {
  const found = data.get(name)?.[key];
  if (found === undefined && !optional)
    throw new Error(`${where} asks for key ${key} of ${name}, which is not there`);
  return found;
}

function resourceOf(
  where: string,
  { resources }: Container,
  { resource, divisor = '1' }: { resource: string; divisor?: string | number | undefined },
): string {
  const [side, what = ''] = resource.split('.') as [string, string?];
  const asked = (side === 'limits' ? resources.limits : resources.requests)?.[what];
  if (asked === undefined) throw new Error(`${where} asks for ${resource}, which is not set`);
  return String(Math.ceil(quantity(asked) / (quantity(divisor) || 1)));
}
