import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import type { AppParts } from '../app.module.ts';
import { Dialects } from '../dialects/dialects.ts';
import { FleetHealth } from '../http/fleet-health.ts';
import { PageFiles } from '../http/page-files.ts';
import { Recordings } from '../http/recordings.ts';
import { TranscribeController } from '../http/transcribe.controller.ts';
import { ConnectionServices, VoiceGateway } from '../ws/voice.gateway.ts';
import { LeanController, LeanModel } from './lean.controller.ts';
import type { LeanSettings } from './lean-env.ts';

type LeanParts = Pick<
  AppParts,
  'dialects' | 'services' | 'health' | 'errorFilter' | 'recordings' | 'page'
>;

/** Nest's view of a lean gateway: the same parts, and nothing that it has no use for. */
@Module({})
export class LeanModule {
  static with(parts: LeanParts, { modelLabel }: LeanSettings): DynamicModule {
    return {
      module: LeanModule,
      controllers: [LeanController, TranscribeController],
      providers: [
        { provide: Dialects, useValue: parts.dialects },
        { provide: ConnectionServices, useValue: parts.services },
        { provide: FleetHealth, useValue: parts.health },
        { provide: APP_FILTER, useValue: parts.errorFilter },
        { provide: Recordings, useValue: parts.recordings },
        { provide: PageFiles, useValue: parts.page },
        { provide: LeanModel, useValue: new LeanModel(modelLabel) },
        VoiceGateway,
      ],
    };
  }
}
