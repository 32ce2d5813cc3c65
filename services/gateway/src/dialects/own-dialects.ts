import type { GatewayConfig } from '../config.ts';
import type { LeanSettings } from '../lean/lean-env.ts';
import { deepgramFluxDialect } from './deepgram-flux/dialect.ts';
import { deepgramListenDialect } from './deepgram-listen/dialect.ts';
import type { Dialect } from './dialect.ts';
import { leanDialect } from './lean/dialect.ts';
import { mistralRealtimeDialect } from './mistral-realtime/dialect.ts';
import { legacyVoiceDialect, promptVoiceDialect } from './prompt-voice/dialect.ts';
import { realtimeDialect } from './realtime/dialect.ts';
import { yapDialect } from './yap/dialect.ts';

/** All that a gateway speaks; with `lean`, that alone. */
export function ownDialects(config: GatewayConfig, lean?: LeanSettings): readonly Dialect[] {
  if (lean) return [leanDialect(lean)];
  return [
    yapDialect(config.yap),
    promptVoiceDialect(config.voice),
    legacyVoiceDialect,
    deepgramListenDialect,
    deepgramFluxDialect,
    mistralRealtimeDialect,
    realtimeDialect,
  ];
}
