import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type Instruction, last, only, parse, REPO, sent } from './docker-files.ts';

interface Finding {
  readonly message: string;
  readonly range: { readonly start: { readonly line: number } };
}

const { validate, ValidationSeverity } = createRequire(import.meta.url)('dockerfile-utils') as {
  validate(source: string, settings: Readonly<Record<string, number | undefined>>): Finding[];
  ValidationSeverity: { readonly ERROR: number };
};

/** A Dockerfile as rules see it. */
interface Read {
  readonly source: string;
  readonly all: readonly Instruction[];
  /** What the image is made of: the last stage. */
  readonly end: readonly Instruction[];
}

/** Tells each breach in one line; none for a file that keeps the rule. */
type Rule = (file: Read) => string[];

const LABELS = ['title', 'version', 'revision', 'source', 'licenses'];

const RULES: Readonly<Record<string, Rule>> = {
  syntax: ({ source }) =>
    validate(source, {
      deprecatedMaintainer: ValidationSeverity.ERROR,
      instructionCasing: ValidationSeverity.ERROR,
      instructionJSONInSingleQuotes: ValidationSeverity.ERROR,
      instructionCmdMultiple: ValidationSeverity.ERROR,
      instructionEntrypointMultiple: ValidationSeverity.ERROR,
      instructionWorkdirRelative: ValidationSeverity.ERROR,
      emptyContinuationLine: ValidationSeverity.ERROR,
    }).map(({ message, range }) => `line ${range.start.line + 1}: ${message}`),

  // Kubernetes' runAsNonRoot believes a number only.
  user: ({ end }) => {
    const [user = 'nobody says who', ...more] = only(end, 'USER');
    if (more.length > 0) return ['names several users'];
    const numbered = /^[1-9]\d*:[1-9]\d*$/.test(user);
    return numbered ? [] : [`must end as a numbered user and group other than root: ${user}`];
  },

  base: ({ all }) => {
    const stages = stageNames(all);
    return only(all, 'FROM').flatMap((value) => {
      const image = resolved(value.split(' ')[0] ?? '', all);
      if (stages.includes(image)) return [];
      if (/^[^/]*[.:][^/]*\//.test(image)) return [`${image} names a registry`];
      if (/:latest$/.test(image) || !/(?::[\w.-]+|@sha256:[0-9a-f]{64})$/.test(image))
        return [`${image} is not pinned`];
      return [];
    });
  },

  // A base by digest is given when the image is built.
  digest: ({ all }) =>
    only(all, 'FROM')
      .map((value) => value.split(' ')[0] ?? '')
      .filter((image) => !/^\$\{\w+_IMAGE\}$/.test(image) && !stageNames(all).includes(image))
      .map((image) => `${image} cannot be replaced whole by a build argument`),

  secrets: ({ all }) =>
    [...only(all, 'ARG'), ...only(all, 'ENV')]
      .filter((value) => /TOKEN|KEY|PASSWORD|SECRET|CREDENTIAL/.test(value))
      .map((value) => `may hold a secret: ${value}`),

  add: ({ all }) => only(all, 'ADD').map((value) => `COPY instead of ADD ${value}`),

  copy: ({ all }) =>
    only(all, 'COPY').flatMap((value) => {
      const words = value.split(' ').filter((word) => !word.startsWith('--'));
      const from = /--from=(\S+)/.exec(value)?.[1];
      if (from !== undefined)
        return stageNames(all).includes(from) ? [] : [`copies from no stage: ${from}`];
      return words.slice(0, -1).flatMap((source) => {
        if (!existsSync(join(REPO, source))) return [`${source} is not there`];
        return sent(source) ? [] : [`.dockerignore keeps ${source} back`];
      });
    }),

  // An init waits for what programs leave behind, and hands signals on; a shell does neither.
  init: ({ end }) => {
    const faults = ['ENTRYPOINT', 'CMD', 'HEALTHCHECK'].flatMap((name) =>
      only(end, name)
        .filter((value) => !/(?:^|CMD )\["[^\]]*"\]$/.test(value))
        .map((value) => `${name} needs a shell: ${value}`),
    );
    const entry = only(end, 'ENTRYPOINT').at(-1) ?? '';
    if (!entry.startsWith('["/usr/bin/tini", "--", "node", "--enable-source-maps", "'))
      faults.push('must start node with source maps under tini');
    if (!only(end, 'COPY').some((value) => value.endsWith('/usr/bin/tini-static /usr/bin/tini')))
      faults.push('holds no tini');
    return faults;
  },

  production: ({ end }) =>
    /(?:^|\s)NODE_ENV=production(?:\s|$)/.test(only(end, 'ENV').join('\n'))
      ? []
      : ['NODE_ENV is not production'],

  labels: ({ end }) => {
    const text = only(end, 'LABEL').join('\n');
    const missing = LABELS.filter((name) => !text.includes(`org.opencontainers.image.${name}=`));
    const late = end.findLastIndex(({ name }) => name === 'COPY' || name === 'RUN');
    const early = end.findIndex(({ name }) => name === 'LABEL') < late;
    return [
      ...missing.map((name) => `has no label ${name}`),
      ...(early ? ['a new label builds later layers anew'] : []),
    ];
  },

  apt: ({ all }) =>
    only(all, 'RUN')
      .filter((run) => /apt(?:-get)? /.test(run))
      .flatMap((run) =>
        [
          ['apt-get update', /apt-get update/],
          ['-y --no-install-recommends', /apt-get install -y --no-install-recommends /],
          ['rm -rf /var/lib/apt/lists/*', /rm -rf \/var\/lib\/apt\/lists\/\*/],
        ].flatMap(([words, pattern]) =>
          (pattern as RegExp).test(run) ? [] : [`installs packages without ${String(words)}`],
        ),
      ),

  npm: ({ all, end }) => [
    ...only(all, 'RUN')
      .filter((run) => /\bnpm (?:install|i|update)\b/.test(run))
      .map(() => 'installs what no lock says'),
    ...only(all, 'RUN')
      .filter((run) => /\bnpm ci\b/.test(run) && !run.includes('--ignore-scripts'))
      .map(() => 'runs scripts of packages'),
    ...(only(end, 'RUN').some((run) => /(?:^|[;&|]\s*)(?:npm ci|npx)\b/.test(run))
      ? ['leaves tools of the build behind']
      : []),
  ],

  // What is installed is installed anew only when the lock or a package.json changed.
  order: ({ all }) =>
    all.flatMap((one, index) => {
      if (one.name !== 'RUN' || !/\bnpm ci\b/.test(one.value)) return [];
      const before = all.slice(0, index).filter(({ stage }) => stage === one.stage);
      const copied = only(before, 'COPY').filter((value) => !value.startsWith('--from=manifests '));
      return copied.map((value) => `installs anew whenever this changes: ${value}`);
    }),

  // Docker's classic builder and old buildah know none of it.
  builder: ({ source }) =>
    /--mount=|<<-?["']?\w+|^# ?syntax=|--link|--parents|--exclude=/m.test(source)
      ? ['needs BuildKit']
      : [],

  rights: ({ all }) =>
    only(all, 'RUN')
      .filter((run) => /\bsudo\b|chmod (?:-R )?(?:777|a\+w)|\b(?:curl|wget)\b/.test(run))
      .map((run) => `takes rights or files nobody checks: ${run}`),
};

/** Every breach of a rule, each with the name of the rule before it. */
export function breaches(source: string): string[] {
  const all = parse(source);
  const file = { source, all, end: last(all) };
  return Object.entries(RULES).flatMap(([name, rule]) =>
    rule(file).map((fault) => `${name}: ${fault}`),
  );
}

function stageNames(all: readonly Instruction[]): string[] {
  return only(all, 'FROM').flatMap((value) => / AS (\S+)$/i.exec(value)?.[1] ?? []);
}

/** An image with the defaults of the arguments before the first FROM in place of their names. */
function resolved(image: string, all: readonly Instruction[]): string {
  const defaults = new Map(
    only(
      all.filter(({ stage }) => stage === 0),
      'ARG',
    ).map((value) => {
      const [name = '', ...rest] = value.split('=');
      return [name, rest.join('=')] as const;
    }),
  );
  let text = image;
  for (let depth = 0; depth < defaults.size; depth += 1)
    text = text.replaceAll(/\$\{(\w+)\}/g, (whole, name: string) => defaults.get(name) ?? whole);
  return text;
}
