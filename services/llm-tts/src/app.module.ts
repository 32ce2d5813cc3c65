import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import type { ErrorFilter } from './http/error.filter.ts';
import { HealthController } from './http/health.controller.ts';
import { ServiceHealth } from './http/service-health.ts';

export interface AppParts {
  readonly health: ServiceHealth;
  readonly errorFilter: ErrorFilter;
}

/** Nest's view of the service: its controllers. `llm-tts.ts` builds the parts. */
@Module({})
export class AppModule {
  static with(parts: AppParts): DynamicModule {
    return {
      module: AppModule,
      controllers: [HealthController],
      providers: [
        { provide: ServiceHealth, useValue: parts.health },
        { provide: APP_FILTER, useValue: parts.errorFilter },
      ],
    };
  }
}
