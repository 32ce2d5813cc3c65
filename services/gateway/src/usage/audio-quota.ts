import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';

/** Shares of the daily audio at which a session is warned, in percent. */
export const WARN_PERCENT = [80, 95] as const;

/** Audio of the tenant today, and its limit, in seconds. */
export interface QuotaWarning {
  readonly percent: (typeof WARN_PERCENT)[number];
  readonly used: number;
  readonly max: number;
}

export interface QuotaCheck {
  /** Those that are due now: each comes once a session and day. */
  readonly warnings: readonly QuotaWarning[];
  readonly exhausted: boolean;
}

const NOTHING_DUE: QuotaCheck = { warnings: [], exhausted: false };

/** What one session is told of the daily audio of its tenant. */
export class AudioQuota {
  readonly #maxSamples: number;
  #day = '';
  /** How many of WARN_PERCENT were given today. */
  #warned = 0;

  /** `audioMinutesPerDay` 0: no limit. */
  constructor(audioMinutesPerDay: number) {
    this.#maxSamples = audioMinutesPerDay * 60 * SAMPLE_RATE;
  }

  /** `samplesToday`: of the whole tenant on `day`, which the ledger names. */
  check(samplesToday: number, day: string): QuotaCheck {
    const max = this.#maxSamples;
    if (max === 0) return NOTHING_DUE;
    if (day !== this.#day) {
      this.#day = day;
      this.#warned = 0;
    }
    const crossed = WARN_PERCENT.filter((percent) => samplesToday * 100 >= max * percent);
    if (crossed.length <= this.#warned && samplesToday < max) return NOTHING_DUE;
    const warnings = crossed.slice(this.#warned).map((percent) => ({
      percent,
      used: samplesToday / SAMPLE_RATE,
      max: max / SAMPLE_RATE,
    }));
    this.#warned = Math.max(this.#warned, crossed.length);
    return { warnings, exhausted: samplesToday >= max };
  }
}
