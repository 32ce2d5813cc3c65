import type { Principal } from '@voice-fleet/fleet/tenant';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { SessionEvent } from '@voice-fleet/protocol/session';
import type { RevocationWatch } from '../auth/revocation-watch.ts';
import { AudioQuota } from './audio-quota.ts';
import type { MeterHandle, UsageMeter } from './usage-meter.ts';

/** What the books of a session tell its connection. */
export interface UsageOwner {
  event(event: SessionEvent): void;
  /** So much audio is booked. */
  onBooked(acceptedSamples: number): void;
  /** Ends the session when its utterance has come to its end. */
  endWith(error: VoiceError): void;
  /** Ends the session at once. */
  fail(error: VoiceError): void;
}

export interface SessionUsageDeps {
  readonly meter: UsageMeter;
  readonly watch: Pick<RevocationWatch, 'watch'>;
}

/** The books of one admitted session: its audio, the daily audio of its tenant, and whether its key still holds. */
export class SessionUsage {
  readonly #handle: MeterHandle;
  readonly #unwatch: () => void;
  #quota: AudioQuota;

  constructor(
    sessionId: string,
    principal: Principal,
    owner: UsageOwner,
    { meter, watch }: SessionUsageDeps,
  ) {
    const { tenantId, keyId, limits } = principal;
    this.#quota = new AudioQuota(limits.audioMinutesPerDay);
    this.#handle = meter.open(
      { sessionId, tenantId, keyId },
      (acceptedSamples, samplesToday, day) => {
        owner.onBooked(acceptedSamples);
        const { warnings, exhausted } = this.#quota.check(samplesToday, day);
        for (const { used, max } of warnings)
          owner.event({ kind: 'warning', limit: 'audio_seconds_per_day', used, max });
        if (exhausted) owner.endWith(new VoiceError('audio_quota_exhausted'));
      },
    );
    this.#unwatch = watch.watch(principal, (change) => {
      if (change.kind === 'revoked') return owner.fail(new VoiceError('key_revoked'));
      this.#quota = new AudioQuota(change.limits.audioMinutesPerDay);
    });
  }

  /** Audio of the session accepted so far. For each frame: it only notes the number. */
  accepted(samples: number): void {
    this.#handle.set(samples);
  }

  /** Books what is left. */
  async close(): Promise<void> {
    this.#unwatch();
    await this.#handle.close();
  }
}
