import { at, type Json, listAt, mapAt } from '../kubernetes-object.ts';
import { containersOf, type Problem, type Rule } from './rule.ts';

/** Names that mean what nobody may read. Names of keys inside Secrets, and files, are none. */
const NAME =
  /(SECRET|PASSWORD|PASSWD|TOKEN|API[-_]?KEY|(ADMIN|ACCESS|PRIVATE)[-_]KEY|CREDENTIAL)S?$/i;
/** What looks like one wherever it stands: keys of known services, certificates, passwords in addresses. */
const VALUE =
  /-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(hf_|sk-|ghp_|gho_|AKIA|xox[abp]-)[A-Za-z0-9_-]{12,}|:\/\/[^/\s:@]*:[^/\s@$][^/\s@]*@/;

/** Secrets are told by reference, never by value. */
export const SECRETS: readonly Rule[] = [
  {
    id: 'secret-in-env',
    meaning: 'A variable that is secret by its name or its value comes from a Secret.',
    fix: 'Use valueFrom.secretKeyRef.',
    *check(object): Iterable<Problem> {
      for (const { path, container } of containersOf(object)) {
        for (const { name, value } of listAt(container, 'env')) {
          // Numbers and switches are settings about secrets, such as how many tokens a model may write.
          if (typeof value !== 'string' || /^(\d*|true|false)$/.test(value)) continue;
          if (NAME.test(String(name)) || VALUE.test(value)) {
            yield { path: `${path}.env[${String(name)}]`, message: 'holds a secret in plain text' };
          }
        }
      }
    },
  },
  {
    id: 'secret-in-command',
    meaning: 'Command lines are seen by everybody on a node.',
    fix: 'Hand the secret over in a variable or a file.',
    *check(object): Iterable<Problem> {
      for (const { path, container } of containersOf(object)) {
        for (const key of ['command', 'args']) {
          const words = at(container, key);
          const all = Array.isArray(words) ? (words as readonly Json[]).map(String) : [];
          for (const [index, word] of all.entries()) {
            const [flag = '', inline] = word.split('=', 2);
            const next = inline ?? all[index + 1] ?? '';
            const named = flag.startsWith('--') && NAME.test(flag) && !/^$|^\$|^--/.test(next);
            if (named || VALUE.test(word)) {
              yield { path: `${path}.${key}[${index}]`, message: 'holds a secret' };
            }
          }
        }
      }
    },
  },
  {
    id: 'secret-in-config',
    meaning: 'A ConfigMap may be read by many.',
    fix: 'Put it into a Secret that is made outside the chart.',
    *check(object): Iterable<Problem> {
      if (object.kind !== 'ConfigMap') return;
      for (const [key, value] of Object.entries(mapAt(object, 'data'))) {
        if (NAME.test(key) || VALUE.test(String(value))) {
          yield { path: `data.${key}`, message: 'holds a secret' };
        }
      }
    },
  },
  {
    id: 'secret-made',
    meaning: 'The chart makes no Secret: what it made up would be another with each upgrade.',
    fix: 'Let people name a Secret of theirs.',
    *check(object): Iterable<Problem> {
      if (object.kind === 'Secret') yield { path: '', message: 'is made by the chart' };
    },
  },
];
