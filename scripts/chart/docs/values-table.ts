import { isObject, type Json } from '../kubernetes-object.ts';
import type { ValueNode } from './values-file.ts';

const HEAD = '| Key | Type | Default | Description |\n|-----|------|---------|-------------|';
const GENERAL = 'general';

/** The tables of README, in the format of helm-docs, one for each section. Throws for a key that nothing is said about. */
export function valuesTables(nodes: readonly ValueNode[]): string {
  const sections = new Map<string, string[]>();
  for (const node of nodes) {
    const name = node.section ?? (node.children.length > 0 ? lastOf(node.path) : GENERAL);
    sections.set(name, [...(sections.get(name) ?? []), ...rows(node, false)]);
  }
  return [...sections]
    .filter(([, lines]) => lines.length > 0)
    .map(([name, lines]) => `### ${name}\n\n${HEAD}\n${lines.join('\n')}`)
    .join('\n\n');
}

function rows(node: ValueNode, toldAbove: boolean): string[] {
  const { path, text, children } = node;
  const told = toldAbove || text !== undefined;
  if (!told && children.length === 0) throw new Error(`values.yaml: nothing is said about ${path}`);
  const own = text === undefined ? [] : [row(node, text)];
  return [...own, ...children.flatMap((child) => rows(child, told))];
}

function row({ path, value, shownDefault }: ValueNode, text: string): string {
  const fallback = shownDefault ?? `\`${JSON.stringify(value)}\``;
  return `| ${[path, typeOf(value), fallback, text].map(cell).join(' | ')} |`;
}

/** Names of types as helm-docs has them. */
function typeOf(value: Json): string {
  if (Array.isArray(value)) return 'list';
  if (isObject(value)) return 'object';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float';
  return 'string';
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function lastOf(path: string): string {
  return path.split('.').at(-1) ?? path;
}
