import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { CredentialStore } from '@voice-fleet/fleet/tenants/credential-store';
import { TenantStore } from '@voice-fleet/fleet/tenants/tenant-store';
import { Authenticator } from './auth/authenticator.ts';
import { ModelSource, ModelsController } from './catalogue/models.controller.ts';
import { Dialects } from './dialects/dialects.ts';
import { AdminController } from './http/admin.controller.ts';
import { AdminKey } from './http/admin.guard.ts';
import { AudioChatController, AudioChatRoute } from './http/audio-chat.controller.ts';
import { ClientSecretsController } from './http/client-secrets.controller.ts';
import { DeepgramListenController } from './http/deepgram-listen.controller.ts';
import type { ErrorFilter } from './http/error.filter.ts';
import { FleetHealth } from './http/fleet-health.ts';
import { HealthController, OpenSessions } from './http/health.controller.ts';
import { LlmRelay, LlmRelayController } from './http/llm-relay.controller.ts';
import { PageController } from './http/page.controller.ts';
import { PageFiles } from './http/page-files.ts';
import { Recordings } from './http/recordings.ts';
import { SpokenReplyController, TurnSource } from './http/spoken-reply.controller.ts';
import { StreamConfigController, VoiceConfig } from './http/stream-config.controller.ts';
import { TokensController } from './http/tokens.controller.ts';
import { TranscribeController } from './http/transcribe.controller.ts';
import { TranscriptionsController } from './http/transcriptions.controller.ts';
import { UsageController, UsageSource } from './http/usage.controller.ts';
import { JobsController, JobsSource } from './jobs/jobs.controller.ts';
import { OpenApiController } from './openapi/openapi.controller.ts';
import { WebhooksController, WebhooksSource } from './webhooks/webhooks.controller.ts';
import { ConnectionServices, VoiceGateway } from './ws/voice.gateway.ts';

export interface AppParts {
  readonly dialects: Dialects;
  readonly services: ConnectionServices;
  readonly health: FleetHealth;
  readonly authenticator: Authenticator;
  readonly credentials: CredentialStore;
  readonly tenants: TenantStore;
  readonly adminKey: AdminKey;
  readonly errorFilter: ErrorFilter;
  readonly usage: UsageSource;
  readonly sessions: OpenSessions;
  readonly voice: VoiceConfig;
  readonly recordings: Recordings;
  readonly audioChat: AudioChatRoute;
  readonly llmRelay: LlmRelay;
  readonly models: ModelSource;
  readonly jobs: JobsSource & WebhooksSource;
  readonly page: PageFiles;
  readonly turns: TurnSource;
}

/** Nest's view of the gateway: its one socket gateway and its controllers. `gateway.ts` builds the parts. */
@Module({})
export class AppModule {
  static with(parts: AppParts): DynamicModule {
    return {
      module: AppModule,
      controllers: [
        // Before the health endpoints: both have `/`.
        PageController,
        HealthController,
        AdminController,
        TokensController,
        ClientSecretsController,
        UsageController,
        StreamConfigController,
        TranscribeController,
        TranscriptionsController,
        DeepgramListenController,
        SpokenReplyController,
        AudioChatController,
        LlmRelayController,
        ModelsController,
        JobsController,
        WebhooksController,
        OpenApiController,
      ],
      providers: [
        { provide: Dialects, useValue: parts.dialects },
        { provide: ConnectionServices, useValue: parts.services },
        { provide: FleetHealth, useValue: parts.health },
        { provide: Authenticator, useValue: parts.authenticator },
        { provide: CredentialStore, useValue: parts.credentials },
        { provide: TenantStore, useValue: parts.tenants },
        { provide: AdminKey, useValue: parts.adminKey },
        { provide: APP_FILTER, useValue: parts.errorFilter },
        { provide: UsageSource, useValue: parts.usage },
        { provide: OpenSessions, useValue: parts.sessions },
        { provide: TurnSource, useValue: parts.turns },
        { provide: Recordings, useValue: parts.recordings },
        { provide: VoiceConfig, useValue: parts.voice },
        { provide: AudioChatRoute, useValue: parts.audioChat },
        { provide: LlmRelay, useValue: parts.llmRelay },
        { provide: ModelSource, useValue: parts.models },
        { provide: JobsSource, useValue: parts.jobs },
        { provide: WebhooksSource, useValue: parts.jobs },
        { provide: PageFiles, useValue: parts.page },
        VoiceGateway,
      ],
    };
  }
}
