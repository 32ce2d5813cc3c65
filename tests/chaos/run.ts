import { join } from 'node:path';
import { ChaosFleet, type FleetShape } from './chaos-fleet.ts';
import type { ScenarioReport } from './report.ts';
import { type Form, randomFrom, type Scenario } from './scenario.ts';
import { Trial } from './trial.ts';

/** Sessions are placed evenly, so that each worker has some; who is not willing to wait is refused at once. */
const ENV = { FLEET_PLACEMENT: 'spread', ADMISSION_HOLD_S: '0', LOG_LEVEL: 'info' };

export interface RunOptions {
  readonly compiledRoot: string;
  readonly form: Form;
  readonly seed: number;
  readonly runs: number | undefined;
  /** Where the logs of all processes go, a folder for each fleet; absent: nowhere. */
  readonly logFolder?: string | undefined;
  /** Told of each fault as it is made. */
  readonly log: (line: string) => void;
}

/** Runs scenarios one after the other; those of one shape share a fleet. A scenario that throws has broken its promise. */
export class ChaosRun implements AsyncDisposable {
  readonly #options: RunOptions;
  #fleet: ChaosFleet | undefined;
  #fleets = 0;

  constructor(options: RunOptions) {
    this.#options = options;
  }

  async run(scenario: Scenario): Promise<ScenarioReport> {
    const { form, seed, log } = this.#options;
    const trial = new Trial(`${scenario.id} ${scenario.title}`, seed, log);
    try {
      await scenario.run({
        fleet: await this.#fleetOf(scenario.shape[form]),
        trial,
        form,
        runs: this.#options.runs ?? scenario.runs[form],
        random: randomFrom(seed),
      });
    } catch (error) {
      trial.expect(false, `it runs to its end: ${error instanceof Error ? error.stack : error}`);
      // What it left behind would only fail the next one.
      await this.#end();
    }
    return trial.report();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }

  async #fleetOf(shape: FleetShape): Promise<ChaosFleet> {
    if (this.#fleet && !isSame(this.#fleet.shape, shape)) await this.#end();
    if (this.#fleet) await this.#fleet.restore();
    else this.#fleet = await ChaosFleet.start(shape, this.#options.compiledRoot, ENV);
    return this.#fleet;
  }

  async #end(): Promise<void> {
    const { logFolder } = this.#options;
    if (logFolder !== undefined) {
      this.#fleets += 1;
      await this.#fleet?.writeLogs(join(logFolder, `fleet-${this.#fleets}`));
    }
    await this.#fleet?.[Symbol.asyncDispose]();
    this.#fleet = undefined;
  }
}

function isSame(one: FleetShape, other: FleetShape): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
