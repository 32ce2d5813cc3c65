import { parseArgs } from 'node:util';
import { CapacityLoop, DEFAULT_CAPACITY } from '@voice-fleet/asr-worker/capacity/capacity-loop';
import { simulate } from '@voice-fleet/asr-worker/capacity/capacity-loop.sim';
import {
  ENGINES,
  hiddenCapacity,
  scenarioFor,
  summarise,
} from '@voice-fleet/asr-worker/capacity/capacity-scenarios.sim';

const HELP = `npm run bench:capacity -- [options]

Runs the capacity loop of the asr-worker against simulated engines and prints where it settles. No network, no real time.

  --seeds N        runs of each engine and session length (default 5)
  --minutes N      simulated minutes of a run (default 15)
  --engine TEXT    only engines whose name contains this
  --tick-noise P   percentiles of each tick off by up to P percent, beside the 20 % of each step (default 0)
  --help           print this`;

const SESSION_SECONDS = [30, 180, Number.POSITIVE_INFINITY];

function main(): void {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '5' },
      minutes: { type: 'string', default: '15' },
      engine: { type: 'string', default: '' },
      'tick-noise': { type: 'string', default: '0' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(HELP);
  const seeds = wholeNumber('--seeds', values.seeds, 1, 100);
  const minutes = wholeNumber('--minutes', values.minutes, 6, 240);
  const tickNoise = wholeNumber('--tick-noise', values['tick-noise'], 0, 50) / 100;
  console.log(
    'engine                  session  capacity  in 5 min  settled s p50/max  in band  slots/capacity max  end min-max  lag P99 < 1 s  lag P99 worst',
  );
  for (const { name, engine } of ENGINES.filter((known) => known.name.includes(values.engine))) {
    for (const sessionS of SESSION_SECONDS) {
      const capacity = hiddenCapacity(engine, sessionS);
      const runs = Array.from({ length: seeds }, (_, index) => {
        const start = Math.max(4, Math.floor(capacity / 3));
        const loop = new CapacityLoop({ ...DEFAULT_CAPACITY, floor: 4, ceiling: 400, start });
        const scenario = scenarioFor(engine, capacity, { sessionS, minutes, seed: index + 1 });
        return summarise(simulate(loop, { ...scenario, tickNoise }), capacity);
      });
      const settled = runs.map((run) => run.settledS).sort((one, other) => one - other);
      const ends = runs.map((run) => run.endShare);
      const cells = [
        name.padEnd(22),
        String(sessionS === Number.POSITIVE_INFINITY ? 'endless' : `${sessionS} s`).padStart(8),
        capacity.toFixed(0).padStart(9),
        `${runs.filter((run) => run.settledS < 300).length}/${seeds}`.padStart(9),
        `${settled[settled.length >> 1]} / ${settled.at(-1)}`.padStart(18),
        `${percent(mean(runs.map((run) => run.inBand)))} %`.padStart(8),
        Math.max(...runs.map((run) => run.maxShare))
          .toFixed(2)
          .padStart(19),
        `${Math.min(...ends).toFixed(2)}-${Math.max(...ends).toFixed(2)}`.padStart(12),
        `${runs.filter((run) => run.lagP99Ms < 1000).length}/${seeds}`.padStart(13),
        `${Math.max(...runs.map((run) => run.lagP99Ms)).toFixed(0)} ms`.padStart(14),
      ];
      console.log(cells.join(' '));
    }
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function percent(part: number): string {
  return (100 * part).toFixed(0);
}

function wholeNumber(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new Error(`${flag} takes a whole number from ${min} to ${max}, not "${text}".`);
}

try {
  main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
