import type { Finding } from './finding.ts';
import { isObject, type Json, type KubernetesObject, nameOf } from './kubernetes-object.ts';

/** Where people write quantities; unquoted, server-side apply refuses them on some servers. */
const QUANTITIES = /(^|\.)(requests|limits|capacity|hard)$|(^|\.)emptyDir$/;

/** What no schema is needed for: keys without a value, and numbers where quantities are text. */
export function plainFaults(object: KubernetesObject): Finding[] {
  const found: Finding[] = [];
  walk(object, '', (path, message) => {
    found.push({ rule: 'schema', object: nameOf(object), path, message });
  });
  return found;
}

function walk(value: Json, path: string, tell: (path: string, message: string) => void): void {
  if (Array.isArray(value)) {
    for (const [index, one] of (value as readonly Json[]).entries()) {
      if (one === null) tell(`${path}[${index}]`, 'is null');
      else walk(one, `${path}[${index}]`, tell);
    }
    return;
  }
  if (!isObject(value)) return;
  for (const [key, one] of Object.entries(value)) {
    const below = path === '' ? key : `${path}.${key}`;
    if (one === null) tell(below, 'is null: leave the key out');
    else if (typeof one === 'number' && QUANTITIES.test(path)) {
      tell(below, `is the number ${one}: quote the quantity`);
    } else walk(one, below, tell);
  }
}
