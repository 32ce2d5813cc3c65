import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { UsageLedger } from '@voice-fleet/fleet/sessions/usage-ledger';
import type { Principal } from '@voice-fleet/fleet/tenant';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { Clock } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';

const DAY_MS = 86_400_000;
/** The longest that clients heed. */
const MAX_RETRY_S = 60;

/** What tenants with a limit on their daily audio have left. */
export class DailyAudio {
  readonly #ledger: Pick<UsageLedger, 'usage'>;
  readonly #clock: Pick<Clock, 'wallNow'>;

  constructor(ledger: Pick<UsageLedger, 'usage'>, clock: Pick<Clock, 'wallNow'>) {
    this.#ledger = ledger;
    this.#clock = clock;
  }

  /** Throws VoiceError `audio_quota_exhausted` when nothing is left. */
  async expectLeft({ tenantId, limits }: Principal): Promise<void> {
    const { audioMinutesPerDay } = limits;
    if (audioMinutesPerDay === 0) return;
    const nowMs = this.#clock.wallNow();
    const day = new Date(nowMs).toISOString().slice(0, 10);
    try {
      const rows = await this.#ledger.usage(tenantId, { fromDay: day, toDay: day });
      const samples = rows.reduce((sum, row) => sum + row.samples, 0);
      if (samples < audioMinutesPerDay * 60 * SAMPLE_RATE) return;
    } catch (error) {
      if (!(error instanceof RedisUnavailable)) throw error;
      throw new VoiceError('fleet_unavailable', { cause: error });
    }
    const retry_after_s = Math.min(MAX_RETRY_S, Math.ceil((DAY_MS - (nowMs % DAY_MS)) / 1000));
    throw new VoiceError('audio_quota_exhausted', { details: { retry_after_s } });
  }
}
