import { type DynamicModule, Module } from '@nestjs/common';
import { HealthController } from './http/health.controller.ts';
import { WorkerHealth } from './http/worker-health.ts';

/** Nest's view of the worker: its controllers. `worker.ts` builds the parts. */
@Module({})
export class AppModule {
  static with(health: WorkerHealth): DynamicModule {
    return {
      module: AppModule,
      controllers: [HealthController],
      providers: [{ provide: WorkerHealth, useValue: health }],
    };
  }
}
