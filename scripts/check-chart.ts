// Renders the chart in many ways and tells what is wrong with the objects. See CONTRIBUTING.md.
import { parseArgs } from 'node:util';
import { type Finding, line } from './chart/finding.ts';
import { HELM_MAJORS, type HelmMajor } from './chart/helm.ts';
import type { KubernetesObject } from './chart/kubernetes-object.ts';
import { type MatrixCase, matrix } from './chart/matrix.ts';
import { modelFindings } from './chart/model-validator.ts';
import { OpenApiValidator } from './chart/openapi-validator.ts';
import { renderChart } from './chart/render.ts';
import { RULES, ruleFindings } from './chart/rules/all-rules.ts';

const HELP = `npm run check:chart [-- options]

Renders charts/voice-fleet with its samples and switches, for the oldest and the newest Kubernetes, and holds every object against
schemas and rules.

  --values FILE   check this values file instead of samples and switches; may be repeated, one release each
  --helm 3|4      render with this major of helm only; without it with both
  --schemas DIR   schemas of your own: a .json file of OpenAPI definitions as Kubernetes publishes them, and .yaml files of
                  CustomResourceDefinitions; without it those of the npm packages kubernetes-models
  --rules         print the rules, what they mean and how to mend what they find
  --json          print the result as one JSON object
  --help          print this

The exit code is 1 if anything was found, 2 if the command line is wrong.`;

interface Result {
  readonly render: string;
  readonly objects: number;
  readonly findings: readonly Finding[];
}

type Validate = (objects: readonly KubernetesObject[]) => Promise<Finding[]>;

async function main(): Promise<number> {
  const options = readOptions();
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  if (options.rules) {
    for (const { id, meaning, fix } of RULES) console.log(`${id}\n  ${meaning}\n  ${fix}`);
    return 0;
  }
  const validate = validatorFor(options.schemas);
  const results: Result[] = [];
  for (const one of matrix(options.values)) {
    for (const helm of options.helm) {
      const result = await check(one, helm, validate);
      results.push(result);
      if (!options.json) tell(result);
    }
  }
  const found = results.reduce((sum, { findings }) => sum + findings.length, 0);
  const objects = results.reduce((sum, result) => sum + result.objects, 0);
  if (options.json) console.log(JSON.stringify({ found, objects, results }, null, 2));
  else console.log(`\n${results.length} renders, ${objects} objects, ${found} findings`);
  return found === 0 ? 0 : 1;
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      values: { type: 'string', multiple: true, default: [] },
      helm: { type: 'string' },
      schemas: { type: 'string' },
      rules: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const helm = HELM_MAJORS.filter(
    (major) => values.helm === undefined || values.helm === String(major),
  );
  if (helm.length === 0) throw new TypeError(`--helm is 3 or 4, not ${String(values.helm)}`);
  return { ...values, helm };
}

function validatorFor(schemas: string | undefined): Validate {
  if (schemas === undefined) return modelFindings;
  const validator = new OpenApiValidator(schemas);
  return (objects) => Promise.resolve(objects.flatMap((object) => validator.findings(object)));
}

async function check(one: MatrixCase, helm: HelmMajor, validate: Validate): Promise<Result> {
  const render = `helm ${helm}, ${one.name}`;
  let objects: KubernetesObject[];
  try {
    objects = renderChart({ ...one.options, helm });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return {
      render,
      objects: 0,
      findings: [{ rule: 'render', object: 'chart', path: '', message }],
    };
  }
  const all = [...(await validate(objects)), ...ruleFindings(objects)];
  const findings = all.filter(({ rule }) => !one.except.includes(rule));
  return { render, objects: objects.length, findings };
}

function tell({ render, objects, findings }: Result): void {
  const counts = `${String(objects).padStart(4)} objects ${String(findings.length).padStart(4)} findings`;
  console.log(`${findings.length === 0 ? 'ok  ' : 'FAIL'} ${render.padEnd(64)} ${counts}`);
  for (const finding of findings) console.log(`     ${line(finding)}`);
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = error instanceof TypeError ? 2 : 1;
  },
);
