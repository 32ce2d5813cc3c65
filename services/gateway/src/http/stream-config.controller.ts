import { All, Controller, Get, Header, Inject, MethodNotAllowedException } from '@nestjs/common';
import { type StreamConfig, streamConfig } from '../voice/stream-config.ts';
import type { VoiceSettings } from '../voice/voice-env.ts';

/** The settings of the voice pipeline. A class, so that Nest can hand them over by type. */
export class VoiceConfig {
  readonly settings: VoiceSettings;

  constructor(settings: VoiceSettings) {
    this.settings = settings;
  }
}

/** Tells clients how the voice pipeline is set. It is set by the environment alone. */
@Controller('/api/stream_config')
export class StreamConfigController {
  readonly #config: StreamConfig;

  constructor(@Inject(VoiceConfig) { settings }: VoiceConfig) {
    this.#config = streamConfig(settings);
  }

  @Get()
  @Header('Cache-Control', 'no-store')
  config(): StreamConfig {
    return this.#config;
  }

  @All()
  @Header('Allow', 'GET, HEAD')
  other(): never {
    throw new MethodNotAllowedException();
  }
}
