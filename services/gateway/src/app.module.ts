import { type DynamicModule, Module } from '@nestjs/common';
import { Dialects } from './dialects/dialects.ts';
import { FleetHealth } from './http/fleet-health.ts';
import { HealthController } from './http/health.controller.ts';
import { ConnectionServices, VoiceGateway } from './ws/voice.gateway.ts';

export interface AppParts {
  readonly dialects: Dialects;
  readonly services: ConnectionServices;
  readonly health: FleetHealth;
}

/** Nest's view of the gateway: its one socket gateway and its controllers. `gateway.ts` builds the parts. */
@Module({})
export class AppModule {
  static with({ dialects, services, health }: AppParts): DynamicModule {
    return {
      module: AppModule,
      controllers: [HealthController],
      providers: [
        { provide: Dialects, useValue: dialects },
        { provide: ConnectionServices, useValue: services },
        { provide: FleetHealth, useValue: health },
        VoiceGateway,
      ],
    };
  }
}
