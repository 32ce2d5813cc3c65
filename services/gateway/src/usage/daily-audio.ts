import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { UsageLedger } from '@voice-fleet/fleet/sessions/usage-ledger';
import type { Principal } from '@voice-fleet/fleet/tenant';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';

/** The longest that clients heed. */
const RETRY_S = 60;

/** What tenants with a limit on their daily audio have left. */
export class DailyAudio {
  readonly #ledger: Pick<UsageLedger, 'today'>;

  constructor(ledger: Pick<UsageLedger, 'today'>) {
    this.#ledger = ledger;
  }

  /** Throws VoiceError `audio_quota_exhausted` when nothing is left. */
  async expectLeft({ tenantId, limits }: Principal): Promise<void> {
    const { audioMinutesPerDay } = limits;
    if (audioMinutesPerDay === 0) return;
    try {
      const { samplesToday } = await this.#ledger.today(tenantId);
      if (samplesToday < audioMinutesPerDay * 60 * SAMPLE_RATE) return;
    } catch (error) {
      if (!(error instanceof RedisUnavailable)) throw error;
      throw new VoiceError('fleet_unavailable', { cause: error });
    }
    throw new VoiceError('audio_quota_exhausted', { details: { retry_after_s: RETRY_S } });
  }
}
