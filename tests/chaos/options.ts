import { parseArgs } from 'node:util';
import type { Form } from './scenario.ts';

export interface ChaosOptions {
  /** Ids of scenarios; empty for all. */
  readonly scenarios: readonly string[];
  readonly form: Form;
  readonly seed: number;
  /** Of each scenario; absent: what it has in this form. */
  readonly runs: number | undefined;
  readonly json: boolean;
  readonly logFolder: string | undefined;
}

/** `undefined` when only help was asked for. Throws an Error with a readable message for wrong flags. */
export function readOptions(
  args: readonly string[],
  known: readonly string[],
): ChaosOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      scenario: { type: 'string', default: '' },
      short: { type: 'boolean', default: false },
      seed: { type: 'string' },
      runs: { type: 'string' },
      json: { type: 'boolean', default: false },
      logs: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const scenarios = values.scenario.split(',').flatMap((id) => id.trim() || []);
  const unknown = scenarios.filter((id) => !known.includes(id));
  if (unknown.length > 0)
    throw new Error(`There is no scenario ${unknown.join(', ')}: use ${known.join(', ')}.`);
  return {
    scenarios,
    form: values.short ? 'short' : 'long',
    seed: wholeNumber('--seed', values.seed ?? String(Date.now() % 100_000), 0, 2 ** 31),
    runs: values.runs === undefined ? undefined : wholeNumber('--runs', values.runs, 1, 1_000),
    json: values.json,
    logFolder: values.logs,
  };
}

function wholeNumber(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new Error(`${flag} takes a whole number from ${min} to ${max}, not "${text}".`);
}
