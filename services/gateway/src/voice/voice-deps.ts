import type { Clock } from '@voice-fleet/runtime/clock';
import type { GatewayMetrics } from '../metrics.ts';
import type { ReplySources } from './replies.ts';
import type { VoiceSettings } from './voice-env.ts';

/** What voice pipelines share. */
export interface VoiceDeps extends ReplySources {
  readonly clock: Clock;
  readonly settings: VoiceSettings;
  readonly metrics: Pick<GatewayMetrics, 'voice'>;
}
